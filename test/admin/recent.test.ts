import t from 'tap';
import { createRecent } from '../../src/admin/recent.js';
import type { AuditEntry } from '../../src/observe/audit.js';

const entry = (more: Partial<AuditEntry>) =>
  ({ decision: 'allow', host: 'a.example', path: '/x', ...more }) as AuditEntry;

t.test('of long texts the beginning is kept: subjects are as long as the authorization server likes', (t) => {
  const recent = createRecent(10, () => 0);
  recent.add(entry({ subject: 'ü'.repeat(1_000_000), path: `/${'x'.repeat(2_000)}` }));
  recent.add(entry({ subject: 'somebody' }));
  const [long, short] = recent.after(0).map((each) => each.entry);
  t.equal(long?.subject, `${'ü'.repeat(1_024)}…`);
  t.equal(long?.path?.length, 1_025);
  t.equal(short?.subject, 'somebody');
  t.end();
});
