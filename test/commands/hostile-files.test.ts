import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { main } from '../../src/cli.js';
import { TYPED } from './mistyped.js';

const SETTINGS = 'rules: [ ./rules.yaml ]\nintrospection: { url: "http://127.0.0.1:1/i" }\n';
/** What Oathkeeper has for one rule. */
const RULE = {
  id: 'a',
  match: { url: 'http://a.example/x', methods: ['GET'] },
  upstream: { url: 'http://b:80' },
  authenticators: [{ handler: 'noop' }],
  authorizer: { handler: 'allow' },
  mutators: [{ handler: 'noop' }],
};

/** Runs a command, with the arguments that name a file of the folder replaced by its path. */
async function run(folder: string, files: Readonly<Record<string, string>>, ...args: string[]) {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  let text = '';
  const take = (more: string): void => {
    text += more;
  };
  const placed = args.map((arg) => (Object.hasOwn(files, arg) ? join(folder, arg) : arg));
  const code = await main(placed, { environment: {}, out: take, err: take });
  return { code, text: text.replaceAll(`${folder}/`, '') };
}

const check = (folder: string, rules: string) =>
  run(folder, { 's.yaml': SETTINGS, 'rules.yaml': rules }, 'check', '--config', 's.yaml');

t.test('deep nesting in block style is one error, and not a stack overflow', async (t) => {
  const keys = (depth: number): string =>
    Array.from({ length: depth }, (_, index) => `${' '.repeat(index)}${'k'.repeat(depth - index)}:`).join(
      '\n',
    );
  for (const [name, text, at] of [
    ['lists in one line', '- '.repeat(5_000), /^rules\.yaml:1:\d+ /],
    ['explicit keys in one line', '? '.repeat(5_000), /^rules\.yaml:1:\d+ /],
    ['mappings, each with a shorter key', keys(3_000), /^rules\.yaml:101:\d+ /],
    ['lists inside of braces', `{\n"a": 1,\n${'- '.repeat(5_000)}\n}`, /^rules\.yaml:3:\d+ /],
    ['lists after closing brackets', `a: b\n]]]\n${'- '.repeat(5_000)}`, /^rules\.yaml:\d+:\d+ /],
  ] as const) {
    const { code, text: output } = await check(t.testdir({}), text);
    t.equal(code, 1, name);
    t.match(output, at, name);
    t.match(output, /yaml-limit values may be nested at most 100 deep\n/, name);
  }
  const wide = Array.from({ length: 300 }, (_, index) => `k${index}:\n- a:\n  - b: { c: [ d ] }`).join('\n');
  t.notMatch((await check(t.testdir({}), `${TYPED}---\n${wide}\n`)).text, /yaml-limit/);
});

t.test('an object in the place of a text is not asked for its text', async (t) => {
  const odd = '{ "apiVersion": { "toString": 1 }, "kind": { "toString": 1 }, "metadata": {} }';
  t.match(await check(t.testdir({}), `${TYPED}---\n${odd}\n`), {
    code: 0,
    text: /ignored-document a document without a kind/,
  });
  const files = { 'rules.yaml': odd };
  t.equal((await run(t.testdir({}), files, 'convert', 'rules.yaml')).code, 1);
  const apply = ['clients', 'apply', '--admin-url', 'http://127.0.0.1:1', '--out', 'o', 'rules.yaml'];
  t.equal((await run(t.testdir({}), files, ...apply)).code, 1);
});

t.test('a pipe that nobody writes to and a device without an end are errors', async (t) => {
  const folder = t.testdir({});
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const files = { 's.yaml': SETTINGS, 'rules.yaml': TYPED };
  for (const [file, problem] of [
    [pipe, /unreadable-file .* is a pipe that nobody writes to/],
    ['/dev/zero', /unreadable-file .* has more than 67108864 bytes/],
  ] as const) {
    for (const args of [
      ['check', '--config', file],
      ['convert', file],
      ['test', '--config', 's.yaml', file],
      ['clients', 'apply', '--admin-url', 'http://127.0.0.1:1', '--out', 'o', file],
    ]) {
      t.match(await run(folder, files, ...args), { code: 1, text: problem }, args.join(' '));
    }
    const secret = `${SETTINGS}admin: { tokenFile: ${file} }\n`;
    t.match(await run(folder, { ...files, 's.yaml': secret }, 'check', '--config', 's.yaml'), {
      code: 1,
      text: /^s\.yaml:3:21 error unreadable-file admin\.tokenFile: .*( is a pipe| has more than)/,
    });
  }
});

t.test('a name with a NUL character is an error that says so', async (t) => {
  const files = { 's.yaml': `${SETTINGS}admin: { tokenFile: "a\\0b" }\n`, 'rules.yaml': TYPED };
  t.match(await run(t.testdir({}), files, 'check', '--config', 's.yaml'), {
    code: 1,
    text: /^s\.yaml:3:21 error unreadable-file admin\.tokenFile: a\\u0000b has a name with a NUL character\n/,
  });
});

t.test('a template cannot overflow the stack, nor name what every object has', async (t) => {
  const rules = (template: string): string =>
    `${TYPED}      mutators: [ { handler: header, config: { headers: { X-A: '${template}' } } } ]\n`;
  for (const [template, problem] of [
    [`{{ print ${'('.repeat(8_000)} }}`, /at most 20 levels of parentheses/],
    [`{{ print ${'('.repeat(3_000)}.Subject${')'.repeat(3_000)} }}`, /at most 20 levels of parentheses/],
    ['{{ .MatchContext.constructor }}', /the field "\.MatchContext\.constructor" is not supported/],
    ['{{ .MatchContext.toString }}', /the field "\.MatchContext\.toString" is not supported/],
  ] as const) {
    t.match(await check(t.testdir({}), rules(template)), { code: 1, text: problem });
  }
  t.match(await check(t.testdir({}), rules('{{ print (((.Subject))) }}')), { code: 0 });
});

t.test('many names in a match url, and an expression that never ends, are left out', async (t) => {
  for (const url of [
    `http://${'<(a|b)>.'.repeat(40)}example/x`,
    `http://${'<{a,b}>.'.repeat(40)}example/x`,
    'http://<(a+)+c>/x',
  ]) {
    const files = { 'r.json': JSON.stringify([{ ...RULE, match: { url, methods: ['GET'] } }]) };
    const hosts = url.includes('+') ? ['--hosts', 'a'.repeat(50)] : [];
    t.match(await run(t.testdir({}), files, 'convert', ...hosts, 'r.json'), {
      code: 1,
      text: /rule-left-out 0\.match\.url: .*list your hosts with --hosts/,
    });
  }
});

t.test(
  'a host that is no glob leaves its rule out, and long ids that are alike get names of their own',
  async (t) => {
    const oddHost = { ...RULE, match: { url: 'http://<[>.a.example/x', methods: ['GET'] } };
    const files = { 'rules.json': JSON.stringify([oddHost]) };
    t.match(await run(t.testdir({}), files, 'convert', '--glob', '--hosts', 'b.a.example', 'rules.json'), {
      code: 1,
      text: /rules\.json:1:\d+ error rule-left-out .*its host contains <\[>/,
    });
    const long = ['1', '2', '3'].map((end) => ({
      ...RULE,
      id: `${'a'.repeat(300)}${end}`,
      match: { url: `http://a${end}.example/x`, methods: ['GET'] },
    }));
    const { code, text } = await run(
      t.testdir({}),
      { 'rules.json': JSON.stringify(long) },
      ...['convert', 'rules.json'],
    );
    t.equal(code, 0);
    t.equal(new Set(text.match(/^ {2}name: a+.*$/gm)).size, 3, text.slice(0, 2_000));
  },
);

t.test('a key file that exists only where scopegate will run is no reason to leave a rule out', async (t) => {
  const config = { issuer_url: 'https://a.example/', jwks_url: 'file:///nowhere/keys.json' };
  const files = { 'r.json': JSON.stringify([{ ...RULE, mutators: [{ handler: 'id_token', config }] }]) };
  t.match(await run(t.testdir({}), files, 'convert', 'r.json'), {
    text: /warning missing-file .*the key file does not exist/,
  });
});

t.test('a file URL that is no path is an error at its place', async (t) => {
  for (const url of ['file:///%2f', 'file:///%zz']) {
    const rules = `${TYPED}      mutators: [ { handler: id_token, config: { issuer_url: "https://a/", jwks_url: "${url}" } } ]\n`;
    t.match(await check(t.testdir({}), rules), {
      code: 1,
      text: /^rules\.yaml:13:86 error invalid-value .*the key file has a URL that is not the path of a file/,
    });
    const config = JSON.stringify({ access_rules: { repositories: [url] }, serve: {} });
    t.match(await run(t.testdir({}), { 'o.yml': config }, 'convert', '--config', 'o.yml'), {
      text: /error unreadable-file the file has a URL that is not the path of a file/,
    });
  }
});

t.test('a table without cases is an error, and so is a format that only objects have', async (t) => {
  const files = { 's.yaml': SETTINGS, 'rules.yaml': TYPED, 'c.yaml': '# later\n' };
  t.match(await run(t.testdir({}), files, 'test', '--config', 's.yaml', 'c.yaml'), {
    code: 1,
    text: /^c\.yaml:1:1 error no-cases the file has no cases/,
  });
  for (const args of [['check'], ['test', 'c.yaml']]) {
    const format = ['--config', 's.yaml', '--format', 'constructor'];
    t.match(await run(t.testdir({}), files, ...args, ...format), {
      code: 2,
      text: /--format must be one of/,
    });
  }
});
