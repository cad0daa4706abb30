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

t.test('many allowed requests do not displace those that failed at the upstream', (t) => {
  const recent = createRecent(3, () => 0);
  recent.add(entry({ path: '/failed', status: 502, error: 'upstream_unreachable' }));
  recent.add(entry({ path: '/refused', status: 503 }));
  recent.add(entry({ path: '/would', status: 200, wouldDeny: 'no_token' }));
  for (let i = 0; i < 10; i++) recent.add(entry({ path: `/${i}`, status: 200 }));
  t.same(
    recent.after(0).map(({ entry: { path } }) => path),
    ['/failed', '/refused', '/would', '/7', '/8', '/9'],
  );
  t.end();
});
