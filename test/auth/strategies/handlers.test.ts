import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { handlers } from '../../../src/auth/strategies/table.js';
import { formatFinding } from '../../../src/document/finding.js';
import { loadRules } from '../../../src/rules/load.js';
import { apiRule } from '../../gateway.js';
import { options } from '../../rules/options.js';

t.test('no handler takes a member of its configuration that it does not know', async (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  for (const handler of handlers.keys()) {
    const accessStrategies = [{ handler, config: { no_such_member: true } }];
    writeFileSync(file, apiRule('gate.example', [{ path: '/.*', methods: ['GET'], accessStrategies }]));
    const { table, findings } = loadRules([file], options);
    t.equal(table, undefined, handler);
    t.match(findings.map(formatFinding).join('\n'), /no_such_member/, handler);
  }
});
