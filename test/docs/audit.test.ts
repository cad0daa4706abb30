import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { root } from '../root.js';
import { auditPage } from './audit.js';

t.test('docs/audit.md is made from the schema of the audit line', (t) => {
  t.equal(readFileSync(join(root, 'docs/audit.md'), 'utf8'), auditPage(), 'renew with: npm run docs');
  t.end();
});
