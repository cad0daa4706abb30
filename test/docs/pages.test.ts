import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { mutators } from '../../src/auth/mutators/table.js';
import { handlers } from '../../src/auth/strategies/table.js';
import { leaves } from '../../src/config/schema.js';
import { ruleSchema, specSchema } from '../../src/rules/apirule/schema.js';
import { statements } from '../conformance/statements.js';
import { root } from '../root.js';
import { auditPage } from './audit.js';
import { cliPage } from './cli.js';
import { conformancePage, GAPS, proofs } from './conformance.js';
import { ADVICE, errorsPage } from './errors.js';
import { identityFieldsPage } from './identity-fields.js';
import { pages } from './page.js';
import { reasonsInCode } from './reasons.js';
import { settingsPage } from './settings.js';
import { upstreamClientPage } from './upstream-client.js';

const all = pages();

for (const page of all) {
  t.test(`every link of ${page.path} leads somewhere`, (t) => {
    for (const { target, line } of page.links) {
      const where = `${page.path}:${line}: ${target}`;
      if (/^https:\/\//.test(target)) {
        t.ok(URL.canParse(target), where);
        continue;
      }
      t.notMatch(target, /^[a-z]+:/, `${where}: only https`);
      const [file = '', fragment] = target.split('#');
      const path = file === '' ? page.path : normalize(join(dirname(page.path), file));
      t.ok(existsSync(join(root, path)), where);
      const goal = all.find((other) => other.path === path);
      if (fragment !== undefined) t.ok(goal?.anchors.has(fragment), `${where}: the heading is there`);
    }
    t.end();
  });
}

t.test('every link of the admin page to the documentation leads somewhere', (t) => {
  const folder = join(root, 'src/admin/page');
  const text = readdirSync(folder)
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
  const targets = [...text.matchAll(/docs\/([\w-]+\.md[#\w-]*)"|['`]([\w-]+\.md(?:#[\w-]+)?)['#`]/g)].map(
    ([, whole, part]) => whole ?? part ?? '',
  );
  t.ok(targets.length > 8);
  for (const target of targets) {
    const [file = '', fragment] = target.split('#');
    const goal = all.find(({ path }) => path === `docs/${file}`);
    t.ok(goal, target);
    if (fragment !== undefined) t.ok(goal?.anchors.has(fragment), `${target}: the heading is there`);
  }
  t.end();
});

t.test('docs/README.md links every page of docs/, and the README links docs/README.md', (t) => {
  const linked = (path: string) =>
    new Set(all.find((page) => page.path === path)?.links.map(({ target }) => target.split('#')[0]));
  const index = linked('docs/README.md');
  for (const { path } of all) {
    if (path.startsWith('docs/') && path !== 'docs/README.md') t.ok(index.has(path.slice(5)), path);
  }
  t.ok(linked('README.md').has('docs/README.md'));
  t.end();
});

t.test('docs/audit.md is made from the schema of the audit line', (t) => {
  t.equal(readFileSync(join(root, 'docs/audit.md'), 'utf8'), auditPage(), 'renew with: npm run docs');
  t.end();
});

t.test('docs/conformance.md is made from the statements and the tests', (t) => {
  t.equal(
    readFileSync(join(root, 'docs/conformance.md'), 'utf8'),
    conformancePage(),
    'renew with: npm run docs',
  );
  const places = proofs();
  for (const { id } of statements) {
    t.not(places.has(id), id in GAPS, `${id} has a test, or is a gap that is owned up to`);
  }
  t.end();
});

t.test('docs/settings.md is what the schema says', (t) => {
  t.equal(readFileSync(join(root, 'docs/settings.md'), 'utf8'), settingsPage(), 'else run `npm run docs`');
  t.end();
});

t.test('docs/upstream-client.md is what the list of differences says', (t) => {
  const page = readFileSync(join(root, 'docs/upstream-client.md'), 'utf8');
  t.equal(page, upstreamClientPage(), 'else run `npm run docs`');
  t.end();
});

t.test('docs/identity-fields.md is what the table says', (t) => {
  const page = readFileSync(join(root, 'docs/identity-fields.md'), 'utf8');
  t.equal(page, identityFieldsPage(), 'else run `npm run docs`');
  t.end();
});

t.test('every setting has a row of four cells', (t) => {
  const page = settingsPage();
  for (const { path } of leaves()) {
    const rows = page.split('\n').filter((line) => line.startsWith(`| \`${path.join('.')}\` |`));
    t.equal(rows.length, 1, path.join('.'));
    t.equal(rows[0]?.split(/(?<!\\)\|/).length, 6, `${path.join('.')}: no cell is torn`);
  }
  t.end();
});

const rulesPage = readFileSync(join(root, 'docs/rules.md'), 'utf8');

t.test('docs/rules.md names every field of an APIRule', (t) => {
  for (const field of Object.keys(specSchema.properties)) t.match(rulesPage, `| \`spec.${field}\` |`);
  for (const field of Object.keys(ruleSchema.properties)) t.match(rulesPage, `| \`${field}\` |`);
  for (const field of Object.keys(ruleSchema.properties.scopegate.properties))
    t.match(rulesPage, `| \`${field}\` |`);
  t.end();
});

t.test('docs/rules.md names every handler and every field of its config', (t) => {
  for (const [name, { schema }] of handlers) {
    t.match(rulesPage, `| \`${name}\` |`);
    for (const field of Object.keys((schema.properties ?? {}) as object))
      t.match(rulesPage, `\`${field}\``, `${name}: ${field}`);
  }
  t.end();
});

t.test('docs/rules.md names every mutator and every field of its config', (t) => {
  for (const [name, { schema }] of mutators) {
    t.match(rulesPage, `| \`${name}\` |`);
    for (const field of Object.keys((schema.properties ?? {}) as object))
      t.match(rulesPage, `\`${field}\``, `${name}: ${field}`);
  }
  t.end();
});

t.test('docs/cli.md is what --help prints', async (t) => {
  t.equal(readFileSync(join(root, 'docs/cli.md'), 'utf8'), await cliPage(), 'else run `npm run docs`');
});

t.test('docs/errors.md is what the table of errors says, and its reasons are given', (t) => {
  t.equal(readFileSync(join(root, 'docs/errors.md'), 'utf8'), errorsPage(), 'else run `npm run docs`');
  const code = sources();
  for (const [name, advice] of Object.entries(ADVICE)) {
    t.not(advice.length, 0, `${name}: somebody says what to do`);
    for (const reason of advice.flatMap(({ reasons }) => reasons))
      t.ok(code.includes(`'${reason}'`), `${name}: the reason "${reason}"`);
  }
  t.end();
});

t.test('docs/errors.md has every reason that the code gives', (t) => {
  const page = readFileSync(join(root, 'docs/errors.md'), 'utf8');
  const given = [...reasonsInCode().values()].flat();
  t.ok(given.includes('the authorization server gave no usable answer'), 'they are found');
  t.ok(given.length > 40, `${given.length} of them`);
  for (const reason of given) t.ok(page.includes(`\`${reason}\``), reason);
  t.end();
});

t.test('docs/operations.md knows every alert', (t) => {
  const { text } = pages().find(({ path }) => path === 'docs/operations.md') as { text: string };
  const alerts = parse(readFileSync(join(root, 'config/prometheus-alerts.yaml'), 'utf8')) as {
    groups: { rules: { alert: string }[] }[];
  };
  for (const { alert } of alerts.groups.flatMap(({ rules }) => rules)) t.match(text, `\`${alert}\``);
  t.end();
});

t.test('docs/contributing.md knows every folder of src/, and every script', (t) => {
  const { text } = pages().find(({ path }) => path === 'docs/contributing.md') as { text: string };
  const layout = text.slice(text.indexOf('## Layout'), text.indexOf('## Tests'));
  const rows = [...layout.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name as string);
  const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  t.same(rows.sort(), folders.sort());
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
  for (const [, name = ''] of text.matchAll(/`npm (?:run )?([a-z:]+)`/g)) t.ok(name in scripts, name);
  t.end();
});

t.test('no table is torn: its rows follow its head', (t) => {
  for (const { path, text } of all) {
    const lines = text.replace(/^```[\s\S]*?^```/gm, (block) => block.replace(/^\|/gm, ' ')).split('\n');
    lines.forEach((line, i) => {
      const where = `${path}:${i + 1}`;
      if (/^\|[-|]+\|$/.test(line)) t.match(lines[i + 1], /^\|/, where);
      const begins = line.startsWith('|') && lines[i - 1]?.startsWith('|') !== true;
      if (begins) t.match(lines[i + 1], /^\|[-| ]+\|$/, `${where}: a table begins with its head`);
    });
  }
  t.end();
});

t.test('every code of a finding that a table explains is one that scopegate has', (t) => {
  const code = sources();
  let count = 0;
  for (const { path, text } of all) {
    for (const [table] of text.matchAll(/^\| code \|.*\n(?:\|.*\n)+/gm)) {
      for (const row of table.split('\n').slice(2)) {
        for (const [, name] of (row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)) {
          t.ok(code.includes(`'${name}'`), `${path}: ${name}`);
          count++;
        }
      }
    }
  }
  t.ok(count > 30, 'they are found');
  t.end();
});

t.test('docs/findings.md explains every code of a finding', (t) => {
  const page = all.find(({ path }) => path === 'docs/findings.md')?.text as string;
  const mistakes = readFileSync(join(root, 'test/commands/mistakes.json'), 'utf8');
  const codes = new Set([
    ...[...sources().matchAll(/\bcode: '([a-z]+(?:-[a-z]+)+)'/g)].map(([, code]) => code),
    ...[...mistakes.matchAll(/ (?:error|warning) ([a-z]+(?:-[a-z]+)*) /g)].map(([, code]) => code),
  ]);
  t.ok(codes.size > 50, 'they are found');
  for (const code of codes) t.match(page, `\`${code}\``);
  t.end();
});

/** What people come for, and where it is said. */
const TASKS: Readonly<Record<string, string>> = {
  migrate: 'docs/migration.md',
  'expose an API': 'docs/expose-api.md',
  ...Object.fromEntries(
    ['nginx', 'caddy', 'haproxy', 'traefik', 'envoy', 'istio', 'kyma'].map((proxy) => [
      `forward-auth with ${proxy}`,
      `docs/forward-auth-${proxy}.md`,
    ]),
  ),
  'protect an MCP server': 'docs/resources.md',
  'revoke a token': 'docs/revoke.md',
  'rotate secrets and certificates': 'docs/rotate.md',
  scale: 'docs/scale.md',
  observe: 'docs/rules.md#dry-run',
  upgrade: 'docs/operations.md#upgrades',
  'act on an alert': 'docs/operations.md#alerts',
  'find out why a request was refused': 'docs/operations.md#troubleshooting',
};

t.test('every task is two clicks from the README', (t) => {
  const targetsOf = (path: string) =>
    (all.find((page) => page.path === path)?.links ?? []).map(({ target }) =>
      normalize(join(dirname(path), target)),
    );
  const first = targetsOf('README.md');
  const reached = new Set([...first, ...first.flatMap((path) => targetsOf(path.split('#')[0] as string))]);
  for (const [task, place] of Object.entries(TASKS)) t.ok(reached.has(place), `${task}: ${place}`);
  t.end();
});

/** The program's sources, as one text. */
function sources(): string {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
    .join('\n');
}

/** The table of docs/peers.md: each row's section, and what begins a cell that says the same as its sentence. */
const COMPARED: Readonly<Record<string, string>> = {
  'introspects opaque tokens': 'Introspects opaque tokens (RFC 7662)',
  'required scopes for each rule': 'Required scopes for each rule',
  'cached answer judged again for every request': 'A cached answer is judged again for every request',
  'token is no cache key or log line in clear': 'The token is never a cache key or a log line in clear',
  'one introspection for simultaneous requests':
    'One introspection for simultaneous requests with one new token',
  'authorization server down': 'The authorization server is down: what the client gets',
  'key-bound token (`cnf`)': 'A key-bound token (`cnf`, RFC 9449, RFC 8705)',
};

t.test('every cell of the tables in docs/peers.md says what its sentence says', (t) => {
  const peers = all.find(({ path }) => path === 'docs/peers.md')?.text as string;
  const tables = peers
    .slice(peers.indexOf('## The table'), peers.indexOf('## Introspects'))
    .split('\n\n')
    .filter((block) => block.startsWith('|'))
    .map((block) =>
      block.split('\n').map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      ),
    );
  t.equal(tables.length, 2);
  const compared = new Set<string>();
  for (const [head = [], , ...rows] of tables) {
    const short = head.map((name) => name.replace(' plugins', '').replace(' njs', ''));
    for (const [label, heading] of Object.entries(COMPARED)) {
      const row = rows.find(([name]) => name === label);
      if (row === undefined) continue;
      compared.add(label);
      const section = peers.split('\n## ').find((text) => text.startsWith(`${heading}\n`)) ?? '';
      for (const [column, peer] of short.entries()) {
        if (column < 2) continue;
        const sentence = new RegExp(`^- \\*\\*${peer}\\*\\*: (.*)$`, 'm').exec(section)?.[1];
        const cell = row[column] ?? '';
        const where = `${label}, ${peer}: "${cell}" of "${sentence?.slice(0, 60)}"`;
        t.ok(sentence !== undefined && agrees(cell, sentence), where);
      }
    }
  }
  t.same([...compared], Object.keys(COMPARED), 'every row is compared');
  t.end();
});

/** Whether a cell's first word, or its number, is what its sentence says. */
function agrees(cell: string, sentence: string): boolean {
  if (cell === '–') return /does not apply/.test(sentence);
  if (cell === 'source not public') return /cannot be looked up/.test(sentence);
  if (/^(?:yes|no)\b/.test(cell)) return sentence.startsWith(cell.slice(0, cell.startsWith('y') ? 3 : 2));
  if (cell === 'key: yes') return sentence.startsWith('yes for the key');
  const [number] = /#?\d{3,}/.exec(cell) ?? [];
  if (number !== undefined) return sentence.includes(number);
  const words = cell.replaceAll('`', '').split(' ');
  return words.slice(0, 1).every((word) => sentence.replaceAll('`', '').includes(word));
}
