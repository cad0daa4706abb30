import { join } from 'node:path';
import t from 'tap';
import { loadSettings } from '../../src/config/settings.js';

const BASE = 'rules: [r]\nintrospection: { url: "http://as/" }\n';

t.test('settings of the admin port that cannot work are refused, each where it stands', (t) => {
  const cases: readonly [text: string, message: RegExp][] = [
    ['decisions: { prefix: decisions }\n', /^3:22 .*decisions\.prefix must be a path/],
    ['decisions: { prefix: / }\n', /^3:22 .*must be a path/],
    ['decisions: { prefix: /a/ }\n', /^3:22 .*must be a path/],
    ['decisions: { prefix: /a/../b }\n', /^3:22 .*must be a path/],
    ['decisions: { prefix: /health }\n', /^3:22 .*must leave .*\/health/],
    ['decisions: { prefix: /health/alive }\n', /^3:22 .*must leave/],
    ['decisions: { prefix: /series }\n', /^3:22 .*must leave .*\/series/],
    ['decisions: { describedBy: guess }\n', /^3:27 .*must be/],
    ['decisions: { identity: { X_User: sub } }\n', /^3:34 .*X_User is not a valid header field name/],
    ['decisions: { identity: { "X User": sub } }\n', /^3:36 .*is not a valid header field name/],
    ['decisions: { identity: { Set-Cookie: sub } }\n', /^3:38 .*already has a meaning/],
    ['decisions: { identity: { X-A: sub, x-a: scope } }\n', /^3:41 .*given twice/],
    ['decisions: { identity: { X-A: 1 } }\n', /^3:31 .*must be/],
    ['admin: { hosts: ["http://x"] }\n', /^3:18 .*must be a host name/],
    ['admin: { hosts: ["x:80"] }\n', /^3:18 .*must be a host name/],
    ['admin: { tokenFile: missing }\n', /^3:21 .*missing does not exist$/],
    ['log: { sampleAllowed: 1.5 }\n', /^3:23 .*must be/],
    ['log: { sampleAllowed: -0.1 }\n', /^3:23 .*must be/],
    ['log: { sampleAllowed: often }\n', /^3:23 .*must be/],
  ];
  for (const [text, message] of cases) {
    const { settings, findings } = loadSettings(join(t.testdir({ 's.yaml': BASE + text }), 's.yaml'), {});
    t.equal(settings, undefined, text);
    t.match(findings.map((found) => `${found.line}:${found.col} ${found.message}`).join('\n'), message, text);
  }
  t.end();
});

t.test('the credential comes from a file and never prints', (t) => {
  const folder = t.testdir({
    's.yaml': `${BASE}admin: { tokenFile: token, hosts: [gate.example] }\n`,
    token: 'hunter2\n',
  });
  const { settings } = loadSettings(join(folder, 's.yaml'), {});
  t.equal(settings?.admin.token?.reveal(), 'hunter2');
  t.notMatch(JSON.stringify(settings), /hunter2/);
  t.end();
});

t.test('a share can be given by the environment', (t) => {
  const file = join(t.testdir({ 's.yaml': BASE }), 's.yaml');
  const load = (share: string) => loadSettings(file, { SCOPEGATE_LOG_SAMPLE_ALLOWED: share });
  t.equal(load('0.25').settings?.log.sampleAllowed, 0.25);
  t.equal(load('0').settings?.log.sampleAllowed, 0);
  for (const share of ['', 'x', '1e9', '2', '.5']) t.equal(load(share).settings, undefined, share);
  t.end();
});
