import { join } from 'node:path';
import t from 'tap';
import { main } from '../../src/cli.js';
import { Recorder } from './io.js';

const RULE = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: demo }
spec:
  gateway: g/h
  host: demo.local
  service: { name: demo, port: 80 }
  rules:
    - path: /a
      metods: [GET]
      accessStrategies:
        - handler: no_auth
`;
const SETTINGS = 'rules: [ rules ]\nintrospection: { url: "http://hydra:4445/x" }\n';

t.test('check prints the same findings in every format', async (t) => {
  const folder = t.testdir({ 'settings.yaml': SETTINGS, rules: { 'a.yaml': RULE } });
  const check = async (format?: string): Promise<{ code: number; out: string }> => {
    const io = new Recorder();
    const args = format === undefined ? [] : ['--format', format];
    const code = await main(['check', '--config', join(folder, 'settings.yaml'), ...args], io);
    return { code, out: io.stdout.replaceAll(folder, '.') };
  };
  const lines = await check();
  t.equal(lines.code, 1);
  const [first = ''] = lines.out.split('\n');
  t.match(first, /^\.\/rules\/a\.yaml:10:7 error unknown-field .*"metods".*"methods"/);

  const text = await check('text');
  t.equal(text.out.split('\n')[0], first);
  t.equal(text.out.split('\n')[1], '  10 |       metods: [GET]');
  t.equal(text.out.split('\n')[2], '             ^');

  const json = JSON.parse((await check('json')).out) as object[];
  t.match(json[0], { file: './rules/a.yaml', line: 10, col: 7, level: 'error', code: 'unknown-field' });
  t.equal(json.length, lines.out.trimEnd().split('\n').length);

  const sarif = JSON.parse((await check('sarif')).out);
  t.match(sarif, {
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'scopegate' } },
        results: [
          {
            ruleId: 'unknown-field',
            level: 'error',
            locations: [{ physicalLocation: { region: { startLine: 10, startColumn: 7 } } }],
          },
        ],
      },
    ],
  });
  t.equal((await check('xml')).code, 2);
});

t.test('an excerpt repeats no line that may hold a secret', async (t) => {
  const settings = `${SETTINGS.replace(' }', ',')} clientAuth: { method: basic, clientSecret: hunter2, clientSecretFile: x } }\n`;
  const folder = t.testdir({
    'settings.yaml': settings.replace('\n clientAuth', ' clientAuth'),
    rules: { 'a.yaml': RULE },
  });
  const io = new Recorder();
  t.equal(await main(['check', '--config', join(folder, 'settings.yaml'), '--format', 'text'], io), 1);
  t.match(io.stdout, /clientAuth/);
  t.notMatch(io.stdout, /hunter2/);
});

t.test('a clean set is an empty list', async (t) => {
  const folder = t.testdir({
    'settings.yaml': SETTINGS,
    rules: { 'a.yaml': RULE.replace('metods', 'methods') },
  });
  const io = new Recorder();
  t.equal(await main(['check', '--config', join(folder, 'settings.yaml'), '--format', 'json'], io), 0);
  t.same(JSON.parse(io.stdout), []);
});
