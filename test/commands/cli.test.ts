import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, symlinkSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { main } from '../../src/cli.js';
import { schemaText } from '../../src/commands/schema.js';
import { version } from '../../src/observe/version.js';
import { tutorialManifests } from '../rules/tutorial.js';
import { Recorder } from './io.js';

const cli = fileURLToPath(new URL('../../src/cli.js', import.meta.url));

async function run(...argv: string[]) {
  const io = new Recorder();
  return { code: await main(argv, io), stdout: io.stdout, stderr: io.stderr };
}

t.test('help names every command, and each command has its own', async (t) => {
  const { code, stdout, stderr } = await run('--help');
  t.equal(code, 0);
  t.equal(stderr, '');
  for (const name of ['serve', 'check', 'explain', 'test', 'schema', 'convert', 'clients']) {
    t.match(stdout, new RegExp(`^  ${name} +\\S`, 'm'));
  }
  for (const name of ['serve', 'check', 'schema', 'clients']) {
    for (const argv of [
      [name, '--help'],
      [name, '-h'],
      ['help', name],
    ]) {
      const { code, stdout, stderr } = await run(...argv);
      t.equal(code, 0, argv.join(' '));
      t.equal(stderr, '');
      t.match(stdout, new RegExp(`^Usage: scopegate ${name}\\b`));
      t.match(stdout, /^Exit code:/m);
      for (const line of stdout.split('\n')) t.ok(line.length <= 80, line);
    }
  }
  t.equal((await run('-h')).stdout, stdout);
});

t.test('the version is that of the package', async (t) => {
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  t.equal(version, manifest.version);
  t.equal((await run('--version')).stdout, `${manifest.version}\n`);
  t.equal((await run('-V')).code, 0);
});

t.test(
  'bad usage is exit 2, says what is wrong and where help is, and prints nothing on standard output',
  async (t) => {
    const cases: readonly [string[], RegExp][] = [
      [[], /a command is missing/],
      [['chek'], /did you mean "check"\?/],
      [['constructor'], /no command is called/],
      [['--frobnicate'], /no command is called "--frobnicate"/],
      [['check'], /--config FILE is missing/],
      [['check', '--config'], /config/],
      [['check', '--confg', 'x'], /--confg/],
      [['check', '--config', 'x', 'y'], /options alone, and not "y"; is it for --config y\?/],
      [['check', 'scopegate.yaml'], /is it for --config scopegate\.yaml\?/],
      [['check', '--strict=5', '--config', 'x'], /strict/],
      [['schema', 'x'], /'x'/],
      [['help', 'frobnicate'], /no command is called/],
    ];
    for (const [argv, message] of cases) {
      const { code, stdout, stderr } = await run(...argv);
      t.equal(code, 2, argv.join(' '));
      t.equal(stdout, '');
      t.match(stderr, message);
      t.match(stderr, /^Try 'scopegate( [a-z]+)? --help'\.$/m);
    }
  },
);

t.test('the schema is printed as it ships', async (t) => {
  const shipped = readFileSync(new URL('../../../config/settings.schema.json', import.meta.url), 'utf8');
  t.equal((await run('schema')).stdout, shipped, 'renew with: npm run docs');
  t.equal(schemaText(), shipped);
});

t.test('the process itself: exit codes, pipes, and the link npm makes', async (t) => {
  const link = join(t.testdir(), 'scopegate');
  symlinkSync(cli, link);
  const execute = promisify(execFile);
  const { stdout } = await execute(process.execPath, [link, '--version']);
  t.equal(stdout, `${version}\n`);
  await t.rejects(execute(process.execPath, [cli, 'check', '--config', join(link, 'absent')]), { code: 1 });
  await t.rejects(execute(process.execPath, [cli]), { code: 2 });
  await execute('/bin/sh', ['-c', `'${process.execPath}' '${cli}' schema | head -c 1`]);
});

t.test('a port that another program has is named, with the settings that change it', async (t) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  const { port } = other.address() as AddressInfo;
  const [manifest] = tutorialManifests();
  const folder = t.testdir({
    'settings.yaml': JSON.stringify({
      rules: ['rules'],
      listen: { proxy: { host: '127.0.0.1', port }, admin: { host: '127.0.0.1', port: 0 } },
      introspection: { url: 'http://127.0.0.1:9/introspect' },
    }),
    rules: { 'httpbin.yaml': manifest },
  });
  const { code, stderr } = await run('serve', '--config', join(folder, 'settings.yaml'));
  t.equal(code, 1);
  t.match(
    stderr,
    new RegExp(
      `not started: another program has this port; .*listen\\.proxy\\.port.* on 127\\.0\\.0\\.1:${port}$`,
      'm',
    ),
  );
});
