import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { load } from '../../src/commands/load.js';
import { formatFinding } from '../../src/document/finding.js';
import { root } from '../root.js';

/** One mistake: what is written in place of what is right, or a variable and its value. */
interface Mistake {
  readonly in: 'rule' | 'v2' | 'settings' | 'env';
  /** The whole text if it is `*`. */
  readonly replace: string;
  readonly by: string;
  /** `file:line:col level code message`, all of them. */
  readonly finds: readonly string[];
}

type Table = Readonly<Record<'rule' | 'v2' | 'settings', string>> & { readonly mistakes: readonly Mistake[] };

const table = JSON.parse(readFileSync(join(root, 'test/commands/mistakes.json'), 'utf8')) as Table;

t.test('each typical mistake is found where it stands, in words that say what to write', (t) => {
  const folder = t.testdir({});
  const find = (settings: string, rule: string, environment: Readonly<Record<string, string>> = {}) => {
    for (const [name, text] of [
      ['s.yaml', settings],
      ['rules/r.yaml', rule],
    ] as const) {
      writeFileSync(join(folder, name), text);
    }
    const { findings } = load(join(folder, 's.yaml'), environment);
    return findings.map((finding) => formatFinding(finding).replaceAll(`${folder}/`, ''));
  };
  mkdirSync(join(folder, 'rules'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  t.same(find(table.settings, table.rule), [], 'without a mistake there is nothing to find');
  t.same(find(table.settings, table.v2), []);
  for (const { in: where, replace, by, finds } of table.mistakes) {
    if (where === 'env') {
      t.same(find(table.settings, table.rule, { [replace]: by }), finds, `${replace}=${by}`);
      continue;
    }
    const text = replace === '*' ? by : table[where].replace(replace, () => by);
    t.not(text, table[where], `the mistake is made: ${by}`);
    const found = where === 'settings' ? find(text, table.rule) : find(table.settings, text);
    t.same(found, finds, by);
  }
  t.end();
});

t.test('no finding is an errno, an expression or the words of a library', (t) => {
  t.ok(table.mistakes.length >= 200, `${table.mistakes.length} mistakes`);
  for (const { finds, by } of table.mistakes) {
    t.ok(finds.length > 0, by);
    for (const line of finds) {
      t.notMatch(
        line,
        /\bE[A-Z]{4,}\b|must match|must NOT|\\x[0-9a-f]{2}|Unexpected|Implicit|stringKeys|Invalid reg|strict mode|must be equal|allowed values|resolve/,
        line,
      );
    }
  }
  t.end();
});
