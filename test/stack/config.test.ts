import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { load } from '../../src/commands/load.js';
import { root } from '../root.js';
import { tutorialManifests } from '../rules/tutorial.js';

t.test('the shipped settings and rules load without a finding', async (t) => {
  for (const name of ['stack', 'folder', 'sidecar', 'compose']) {
    const { settings, table, findings } = load(join(root, 'config', `${name}.yaml`), {});
    t.strictSame(findings, [], name);
    t.equal(table?.rules.length, 4, name);
    t.ok(settings, name);
  }
});

t.test("the tutorial's APIRules stand in config/rules letter by letter", async (t) => {
  const expanded = tutorialManifests().map((text) =>
    text.replace('demo', 'default').replace('kyma.local', 'localhost'),
  );
  const shipped = ['httpbin', 'function'].map((name) =>
    // But for the first line, which names the schema for editors.
    readFileSync(join(root, 'config', 'rules', `${name}.apirule.yaml`), 'utf8').replace(/^# yaml-.*\n/, ''),
  );
  t.strictSame(shipped, expanded);
});
