import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { main } from '../../src/cli.js';
import { hasColours } from '../../src/document/colours.js';
import type { Style } from '../../src/document/print.js';
import { available } from '../require.js';
import { root } from '../root.js';
import { Recorder } from './io.js';
import { MISTYPED, TYPED } from './mistyped.js';

const SETTINGS = 'rules: [ rules ]\nintrospection: { url: "http://hydra:4445/x" }\n';
const PLACE = 'rules/a.yaml:10:7';
/** One escape sequence of SGR (ECMA-48 §8.3.117). */
const SGR = /\u001b\[\d*m/g;

/** What a command wrote that ran in a terminal of that kind. */
async function inTerminal(styles: Style | undefined, ...argv: string[]) {
  const io = new Recorder();
  const looks = styles === undefined ? {} : { styles: { out: styles, err: styles } };
  const streams = { out: (text: string) => io.out(text), err: (text: string) => io.err(text) };
  const code = await main(argv, { environment: {}, ...streams, ...looks });
  return { code, out: io.stdout, err: io.stderr };
}

t.test('colours are what FORCE_COLOR says, then NO_COLOR, then the terminal', (t) => {
  const terminal = { isTTY: true, hasColors: () => true };
  const pipe = { isTTY: false };
  t.equal(hasColours(terminal, {}), true);
  t.equal(hasColours(pipe, {}), false);
  t.equal(hasColours({ isTTY: true, hasColors: () => false }, {}), false, 'a terminal without colours');
  for (const NO_COLOR of ['1', '', 'false']) t.equal(hasColours(terminal, { NO_COLOR }), false, 'as Node');
  for (const FORCE_COLOR of ['', '1', '2', '3', 'true']) {
    t.equal(hasColours(pipe, { FORCE_COLOR }), true, FORCE_COLOR);
    t.equal(hasColours(pipe, { FORCE_COLOR, NO_COLOR: '1' }), true, 'it counts more');
  }
  for (const FORCE_COLOR of ['0', 'false', 'no']) {
    t.equal(hasColours(terminal, { FORCE_COLOR }), false, FORCE_COLOR);
  }
  t.end();
});

t.test('findings have their source line and colours on a terminal, and neither elsewhere', async (t) => {
  const folder = t.testdir({
    'settings.yaml': SETTINGS,
    rules: { 'a.yaml': MISTYPED },
    'oathkeeper.yaml': 'match:\n  url: 5\n',
    'cases.yaml': 'cases:\n  - request: 5\n    expect: 200\n',
  });
  const settings = join(folder, 'settings.yaml');
  const commands: Readonly<Record<string, [string[], 'out' | 'err']>> = {
    check: [['check', '--config', settings], 'out'],
    serve: [['serve', '--config', settings], 'err'],
    explain: [['explain', '--config', settings, 'GET', 'http://demo.local/a'], 'err'],
    test: [['test', '--config', settings, join(folder, 'cases.yaml')], 'err'],
    convert: [['convert', join(folder, 'oathkeeper.yaml')], 'err'],
    clients: [
      [
        'clients',
        'apply',
        '--admin-url',
        'http://127.0.0.1:9',
        '--out',
        folder,
        join(folder, 'oathkeeper.yaml'),
      ],
      'err',
    ],
  };
  for (const [name, [argv, stream]] of Object.entries(commands)) {
    const { [stream]: plain, code } = await inTerminal(undefined, ...argv);
    t.equal(code, 1, name);
    t.match(plain, /:\d+:\d+ error /, name);
    t.notMatch(plain, /\u001b|\^/, `${name} writes lines alone to a pipe`);
    const shown = (await inTerminal({ excerpts: true, colours: true }, ...argv))[stream];
    t.match(
      shown,
      /\u001b\[1m[^\u001b]+:\d+:\d+\u001b\[0m \u001b\[31merror\u001b\[0m /,
      `${name} has colours`,
    );
    t.match(shown.replace(SGR, ''), /\n {2}\d+ \| [^\n]+\n {5,}\^\n/, `${name} shows the line`);
    const dull = (await inTerminal({ excerpts: true, colours: false }, ...argv))[stream];
    t.equal(dull, shown.replace(SGR, ''), `${name} says the same without colours`);
  }
  const broken = ['check', '--config', settings];
  const lines = await inTerminal({ excerpts: true, colours: false }, ...broken, '--format', 'lines');
  t.equal(lines.out, (await inTerminal(undefined, ...broken)).out, 'a format that is chosen counts');
});

t.test('a line below the key of a secret is not shown either', async (t) => {
  const folder = t.testdir({
    'settings.yaml': `${SETTINGS}tracing:\n  endpont: x\n`,
    rules: { 'a.yaml': MISTYPED },
  });
  const settings = join(folder, 'settings.yaml');
  const { out } = await inTerminal({ excerpts: true, colours: false }, 'check', '--config', settings);
  t.match(out, /settings\.yaml:4:3 error/);
  t.match(out, '4 |   endpont: x');
  const nested = t.testdir({ 'settings.yaml': `${SETTINGS}clientSecret:\n  hunter2: 1\n  hunter2: 2\n` });
  const file = join(nested, 'settings.yaml');
  const twice = await inTerminal({ excerpts: true, colours: false }, 'check', '--config', file);
  t.match(twice.out, /settings\.yaml:5:3 error duplicate-key/);
  t.notMatch(twice.out, '|', 'no line is shown');
});

t.test('differences of test have colours, and --no-color stands anywhere', async (t) => {
  const folder = t.testdir({
    'settings.yaml': SETTINGS,
    rules: { 'a.yaml': TYPED },
    'cases.yaml': `cases:
  - { request: GET http://demo.local/a, expect: deny }
  - { request: GET http://demo.local/a, expect: allow }
`,
  });
  const argv = ['test', '--config', join(folder, 'settings.yaml'), join(folder, 'cases.yaml')];
  const coloured = await inTerminal({ excerpts: true, colours: true }, ...argv);
  t.match(coloured.out, '\u001b[31mnot ok\u001b[0m GET http://demo.local/a');
  t.match(coloured.out, '\u001b[31mexpected deny, got 200 allow\u001b[0m');
  t.match(coloured.out, '\u001b[32mok\u001b[0m GET http://demo.local/a');
  const plain = await inTerminal(undefined, ...argv);
  t.equal(plain.out, coloured.out.replace(SGR, ''));
  for (const words of [
    ['--no-color', ...argv],
    [...argv, '--no-color'],
    [argv[0] as string, '--no-color', ...argv.slice(1)],
  ]) {
    t.same(await inTerminal(undefined, ...words), plain, words.join(' '));
  }
  t.equal((await inTerminal(undefined, '--no-color')).code, 2, 'it is no command');
  t.equal((await inTerminal(undefined, '--no-color', '--version')).code, 0);
});

t.test('in a real terminal', async (t) => {
  if (!available(t, 'script')) return;
  const folder = t.testdir({ 'settings.yaml': SETTINGS, rules: { 'a.yaml': MISTYPED } });
  const cli = join(root, 'build/src/cli.js');
  /** What a shell's command shows in a terminal. */
  const shows = async (command: string, environment: Readonly<Record<string, string>> = {}) => {
    const env = { PATH: process.env.PATH, TERM: 'xterm-256color', SHELL: '/bin/sh', ...environment };
    const line = `'${process.execPath}' '${cli}' check --config settings.yaml ${command}; true`;
    const { stdout } = await promisify(execFile)('script', ['-qec', line, '/dev/null'], { cwd: folder, env });
    return stdout.replaceAll('\r\n', '\n');
  };
  const excerpt = '  10 |       metods: [GET]\n             ^\n';
  const coloured = await shows('');
  t.match(coloured, `\u001b[1m${PLACE}\u001b[0m \u001b[31merror\u001b[0m unknown-field`);
  t.match(coloured.replace(SGR, ''), excerpt);
  const dull = [
    await shows('--no-color'),
    await shows('', { NO_COLOR: '1' }),
    await shows('', { FORCE_COLOR: '0' }),
  ];
  for (const text of dull) {
    t.match(text, excerpt);
    t.notMatch(text, SGR);
  }
  const piped = await shows('2>&1 | cat');
  t.match(piped, new RegExp(`^${PLACE} error unknown-field `));
  t.notMatch(piped, /\u001b|\^/, 'a pipe gets lines');
  t.match(await shows('2>&1 | cat', { FORCE_COLOR: '1' }), `\u001b[1m${PLACE}\u001b[0m`);
  t.notMatch(await shows('', { TERM: 'dumb' }), /\u001b|\^/, 'and so does a dumb terminal');
});
