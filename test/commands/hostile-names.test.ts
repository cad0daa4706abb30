import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { main } from '../../src/cli.js';
import { formatFinding } from '../../src/document/finding.js';
import { printFindings } from '../../src/document/print.js';

/** Ends the line, reaches the terminal, turns the direction of letters, cannot be seen. */
const HOSTILE = 'x\na.yaml:1:1 error forged\u001b[31m\u009b8m\u202e\u200b\u{e0001}';
const CONTROLS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\u200b\u{e0001}]/u;

async function run(...args: string[]): Promise<string> {
  let text = '';
  const take = (more: string): void => {
    text += more;
  };
  await main(args, { environment: {}, out: take, err: take });
  return text;
}

t.test('a file cannot write lines of a report by its name', async (t) => {
  const finding = {
    file: HOSTILE,
    line: 1,
    col: 2,
    level: 'error',
    code: 'a-code',
    message: HOSTILE,
  } as const;
  const expected =
    'x\\u000aa.yaml:1:1 error forged\\u001b[31m\\u009b8m\\u202e\\u200b\\udb40\\udc01:1:2 error a-code ' +
    'x\\u000aa.yaml:1:1 error forged\\u001b[31m\\u009b8m\\u202e\\u200b\\udb40\\udc01';
  t.equal(formatFinding(finding), expected);
  t.equal(printFindings([finding], { excerpts: true, colours: false }), `${expected}\n`);
});

t.test('no command prints what a name or an argument could tell a terminal', async (t) => {
  const folder = t.testdir();
  mkdirSync(join(folder, 'rules'));
  const rule = (path: string): string =>
    JSON.stringify({
      apiVersion: 'gateway.kyma-project.io/v1beta1',
      kind: 'APIRule',
      metadata: { name: 'a', namespace: 'd' },
      spec: {
        gateway: 'd/g',
        host: 'a.example',
        service: { name: 's', port: 1 },
        rules: [{ path, methods: ['GET'], accessStrategies: [{ handler: 'allow' }] }],
      },
    });
  const settings = join(folder, 's.yaml');
  writeFileSync(settings, 'rules: [ ./rules ]\nintrospection: { url: "http://127.0.0.1:1/i" }\n');
  const hostile = join(folder, 'rules', `${HOSTILE}.yaml`);
  const cases = join(folder, 'cases.yaml');
  writeFileSync(
    cases,
    JSON.stringify({ cases: [{ name: HOSTILE, request: `GET http://a.example/${HOSTILE}`, expect: 200 }] }),
  );
  for (const path of ['/a', '(']) {
    writeFileSync(hostile, rule(path));
    for (const args of [
      ['check', '--config', settings],
      ['explain', '--config', settings, 'GET', 'http://a.example/a'],
      ['explain', '--config', settings, 'GET', `http://a.example/${HOSTILE}`],
      ['explain', '--config', settings, HOSTILE, 'http://a.example/a'],
      ['test', '--config', settings, cases],
      ['check', '--config', join(folder, HOSTILE)],
      [HOSTILE],
      ['check', `--${HOSTILE}`],
      ['check', '--config', settings, HOSTILE],
      ['schema', HOSTILE],
      ['convert', hostile],
      ['convert', HOSTILE],
      ['clients', HOSTILE],
    ]) {
      const text = await run(...args);
      t.ok(text.length > 0, `${args[0]} ${path} says something`);
      t.notMatch(text, CONTROLS, `${args[0]} ${path} ${JSON.stringify(text.slice(0, 200))}`);
      t.notMatch(text, /^a\.yaml:1:1 error forged/m, `${args[0]} ${path}`);
    }
  }
});
