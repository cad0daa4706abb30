import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { main } from '../../../src/cli.js';
import { Recorder } from '../io.js';

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const io = new Recorder();
  const code = await main(['clients', ...args], io);
  return { code, out: io.stdout, err: io.stderr };
}

t.test('bad usage exits with 2 and says what is wrong', async (t) => {
  for (const [args, expected] of [
    [[], /needs a subcommand/],
    [['delete'], /no subcommand "delete"/],
    [['apply', '--out', 'o', 'f'], /--admin-url is missing/],
    [['apply', '--admin-url', 'hydra:4445', '--out', 'o', 'f'], /--admin-url must be an http or https URL/],
    [['apply', '--admin-url', 'http://u:hunter2@hydra', '--out', 'o', 'f'], /must not contain credentials/],
    [['apply', '--admin-url', 'http://hydra', 'f'], /--out is missing/],
    [['apply', '--admin-url', 'http://hydra', '--out', 'o'], /FILE with manifests is missing/],
    [['apply', '--url', 'http://hydra'], /--url/],
    [
      ['apply', '--admin-url', 'http://hydra', '--out', 'o', '--interval', '3s', 'f'],
      /--interval needs --watch/,
    ],
    [
      ['apply', '--admin-url', 'http://hydra', '--out', 'o', '--watch', '--interval', '0', 'f'],
      /--interval must be a duration above zero/,
    ],
  ] as const) {
    const { code, out, err } = await run(...args);
    t.strictSame({ code, out }, { code: 2, out: '' });
    t.match(err, expected);
    t.notMatch(err, 'hunter2');
  }
});

t.test('help goes to standard output', async (t) => {
  for (const args of [['--help'], ['apply', '-h']]) {
    const { code, out } = await run(...args);
    t.equal(code, 0);
    t.match(out, /^Usage: scopegate clients apply/);
  }
});

t.test('nothing is applied where one of the files has an error', async (t) => {
  const folder = t.testdir();
  const [good, bad] = [join(folder, 'good.yaml'), join(folder, 'bad.yaml')];
  const text = (name: string, secretName = name) => `apiVersion: hydra.ory.sh/v1alpha1
kind: OAuth2Client
metadata: { name: ${name} }
spec: { grantTypes: [client_credentials], secretName: ${secretName} }
`;
  writeFileSync(good, text('good'));
  // Port 9 refuses: had anything been sent, there would be another finding.
  const apply = (...files: string[]) =>
    run('apply', '--admin-url', 'http://127.0.0.1:9', '--out', join(folder, 'out'), ...files);

  await t.test('a file that is not there', async (t) => {
    t.strictSame(await apply(good, bad), {
      code: 1,
      out: '',
      err: `${bad}:1:1 error unreadable-file the file does not exist\n`,
    });
  });
  await t.test('two clients in one folder', async (t) => {
    writeFileSync(bad, text('other', 'good'));
    const { code, err } = await apply(good, bad);
    t.equal(code, 1);
    t.equal(err, `${bad}:1:1 error duplicate-client secretName good is already used in ${good}:1\n`);
  });
  await t.test('one client twice', async (t) => {
    writeFileSync(bad, text('good', 'other'));
    t.match((await apply(good, bad)).err, 'duplicate-client OAuth2Client default/good is already used in');
  });
  await t.test('bytes that are no text', async (t) => {
    writeFileSync(bad, Buffer.from([0xff, 0xfe, 0]));
    t.match((await apply(bad)).err, 'unreadable-file the file is not UTF-8 text');
  });
});
