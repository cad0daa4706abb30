import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { type SettingSchema, settingsSchema } from '../../src/config/schema.js';
import { loadSettings, type SettingInForce } from '../../src/config/settings.js';
import { startTestGateway } from '../gateway.js';

function inForce(file: string, environment: Record<string, string> = {}): Map<string, SettingInForce> {
  const { settings, findings } = loadSettings(file, environment);
  if (settings === undefined) throw new Error(findings.map(({ message }) => message).join());
  return new Map(settings.inForce.map((each) => [each.name, each]));
}

t.test('each setting in force is listed as it is written, with its place', (t) => {
  const folder = t.testdir({
    's.yaml': 'rules: [r]\nintrospection:\n  url: http://as/i\n  timeout: 750ms\n',
  });
  const file = join(folder, 's.yaml');
  const settings = inForce(file, { SCOPEGATE_LISTEN_PROXY_PORT: '4460' });
  t.same(settings.get('introspection.timeout'), {
    name: 'introspection.timeout',
    value: '750ms',
    source: `${file}:4:12`,
  });
  t.same(settings.get('listen.proxy.port'), {
    name: 'listen.proxy.port',
    value: 4460,
    source: 'env:SCOPEGATE_LISTEN_PROXY_PORT',
  });
  t.same(
    settings.get('forward.timeout'),
    { name: 'forward.timeout', value: '180s' },
    'a default has no place',
  );
  t.notOk(settings.has('realm.x'));
  t.notOk(settings.has('introspection.issuer'), 'what is absent and has no default is off');
  t.notOk(
    settings.has('listen.proxy.tls.minVersion'),
    'the defaults of a section that is off are not in force',
  );
  t.end();
});

t.test('nothing secret is in the list: not inline, in header fields, in URLs or in lists', (t) => {
  const folder = t.testdir({
    secret: 'hunter-file',
    's.json': JSON.stringify({
      rules: ['r'],
      admin: { tokenFile: 'secret' },
      services: { default: 'http://up:80' },
      kyma: {
        extAuthorizers: [
          {
            name: 'a',
            url: 'http://authorizer/x',
            includeAdditionalHeadersInCheck: { 'x-key': 'hunter9' },
            includeRequestHeadersInCheck: ['cookie'],
          },
        ],
      },
      introspection: {
        url: 'https://as/i?key=hunter1',
        headers: { 'X-Key': 'hunter2', 'X-Auth': 'hunter3' },
        clientAuth: { method: 'basic', clientId: 'me', clientSecret: 'hunter4' },
        servers: [
          {
            url: 'https://other/i?key=hunter5',
            headers: { 'x-api': 'hunter6' },
            clientAuth: { method: 'bearer', token: 'hunter7' },
          },
        ],
      },
    }),
  });
  const settings = inForce(join(folder, 's.json'));
  const text = JSON.stringify([...settings.values()]);
  t.notMatch(text, /hunter/);
  t.equal(settings.get('introspection.url')?.value, 'https://as/i?[secret]');
  t.equal(settings.get('introspection.clientAuth.clientSecret')?.value, '[secret]');
  t.equal(settings.get('introspection.clientAuth.clientId')?.value, 'me');
  t.same(settings.get('introspection.headers')?.value, { 'X-Key': '[secret]', 'X-Auth': '[secret]' });
  t.match(settings.get('introspection.servers')?.value, [
    { url: 'https://other/i?[secret]', headers: { 'x-api': '[secret]' }, clientAuth: { token: '[secret]' } },
  ]);
  t.match(settings.get('kyma.extAuthorizers')?.value, [
    { includeAdditionalHeadersInCheck: { 'x-key': '[secret]' }, includeRequestHeadersInCheck: ['cookie'] },
  ]);
  t.equal(settings.get('admin.tokenFile')?.value, 'secret', 'the name of a file is no secret');
  t.end();
});

t.test('each setting that maps names to texts is known to hold secrets, or to hold none', (t) => {
  /** The addresses of services, and the claims behind fields of answers: neither is a secret. */
  const open = new Set(['services', 'decisions.identity']);
  const maps: string[] = [];
  const search = (schema: Omit<SettingSchema, 'description'>, path: readonly string[]): void => {
    if (typeof schema.additionalProperties === 'object') maps.push(path.join('.'));
    for (const [name, each] of Object.entries(schema.properties ?? {})) search(each, [...path, name]);
    if (schema.items !== undefined) search(schema.items, path);
  };
  search(settingsSchema, []);
  t.ok(maps.length > 3, 'it finds them');
  t.strictSame(
    maps.filter((name) => !open.has(name) && !/headers/i.test(name)),
    [],
    'a new one is either open, or its values are hidden at /settings',
  );
  t.end();
});

t.test('GET /settings has the list', async (t) => {
  const folder = t.testdir({ token: 'hunter2\n' });
  const gate = await startTestGateway(t, { settings: { admin: { tokenFile: join(folder, 'token') } } });
  const { statusCode, body } = await request(`${gate.adminUrl}/settings`);
  const text = await body.text();
  t.equal(statusCode, 200);
  t.match(JSON.parse(text), { file: /settings\.yaml$/, settings: Array });
  t.match(text, /"admin\.tokenFile"/);
  t.notMatch(text, /hunter2/);
  const foreign = await request(`${gate.adminUrl}/settings`, { headers: { host: 'evil.example' } });
  t.equal(foreign.statusCode, 403);
  await foreign.body.dump();
});
