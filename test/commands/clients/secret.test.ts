import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { main } from '../../../src/cli.js';
import { start } from '../../stack/authorization-server.js';
import { Recorder } from '../io.js';

/** As Hydra Maester's own samples have it: a Secret with credentials of the user's own, and a client that names it. */
const SECRET = `apiVersion: v1
kind: Secret
metadata:
  name: my-secret
  namespace: default
type: Opaque
data:
  CLIENT_ID: ${btoa('my-own-id')}
  CLIENT_SECRET: ${btoa('my-own-secret')}
`;
const CLIENT = `apiVersion: hydra.ory.sh/v1alpha1
kind: OAuth2Client
metadata: { name: mine, namespace: default }
spec:
  grantTypes: [client_credentials]
  scope: read write
  secretName: my-secret
`;

async function bench(t: Test) {
  const server = await start();
  t.teardown(() => server.close());
  const folder = t.testdir();
  const out = join(folder, 'out');
  return {
    server,
    out,
    read: (key: string) => readFileSync(join(out, 'my-secret', key), 'utf8'),
    async apply(...texts: string[]) {
      const files = texts.map((text, i) => {
        const file = join(folder, `${i}.yaml`);
        writeFileSync(file, text);
        return file;
      });
      const io = new Recorder();
      const code = await main(
        ['clients', 'apply', '--admin-url', server.adminUrl, '--out', out, ...files],
        io,
      );
      return { code, out: io.stdout, err: io.stderr.replaceAll(folder, '') };
    },
  };
}

t.test('the credentials of a Secret are the client’s, in one file or two, in any order', async (t) => {
  for (const texts of [
    [`${SECRET}---\n${CLIENT}`],
    [`${CLIENT}---\n${SECRET}`],
    [CLIENT, SECRET],
    [SECRET, CLIENT],
  ]) {
    const b = await bench(t);
    t.same(await b.apply(...texts), { code: 0, out: 'default/mine created\n', err: '' });
    t.match(b.server.clients.get('my-own-id'), { client_secret: 'my-own-secret', scope: 'read write' });
    t.equal(b.read('client_id'), 'my-own-id');
    t.equal(b.read('client_secret'), 'my-own-secret');
    t.same(await b.apply(...texts), { code: 0, out: 'default/mine unchanged\n', err: '' });
  }
});

t.test('a List, stringData and lower-case names are read too', async (t) => {
  const b = await bench(t);
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'my-secret' },
    data: { client_id: btoa('from-data') },
    stringData: { client_id: 'my-own-id', client_secret: 'my-own-secret' },
  };
  const client = {
    apiVersion: 'hydra.ory.sh/v1alpha1',
    kind: 'OAuth2Client',
    metadata: { name: 'mine' },
    spec: { grantTypes: ['client_credentials'], scope: 'read', secretName: 'my-secret' },
  };
  const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [client, secret] });
  t.match(await b.apply(list), { code: 0, out: 'default/mine created\n' });
  t.match(b.server.clients.get('my-own-id'), { client_secret: 'my-own-secret' });
});

t.test(
  'a changed Secret is applied: a new secret to the same client, a new id in place of the old',
  async (t) => {
    const b = await bench(t);
    await b.apply(SECRET, CLIENT);
    const renewed = SECRET.replace(btoa('my-own-secret'), btoa('another-secret'));
    t.match(await b.apply(renewed, CLIENT), { code: 0, out: 'default/mine updated\n', err: '' });
    t.match(b.server.clients.get('my-own-id'), { client_secret: 'another-secret' });
    t.equal(b.read('client_secret'), 'another-secret');
    const renamed = renewed.replace(btoa('my-own-id'), btoa('another-id'));
    const { code, out, err } = await b.apply(renamed, CLIENT);
    t.same({ code, out }, { code: 0, out: 'default/mine created\n' });
    t.match(
      err,
      /warning replaced-client .*deleted the client my-own-id at Hydra, because a Secret now sets other credentials/,
    );
    t.same(
      b.server.clients.list().map(({ client_id: id }) => id),
      ['another-id'],
    );
  },
);

t.test('a client of somebody else that a Secret names stays as it is', async (t) => {
  const b = await bench(t);
  b.server.registerClient({ client_id: 'my-own-id', owner: 'other/default' });
  t.match(await b.apply(SECRET, CLIENT), { code: 1, err: /belongs to "other\/default"/ });
});

t.test('a Secret that cannot be used is an error at its place, and no value is shown', async (t) => {
  const b = await bench(t);
  for (const [secret, expected] of [
    [
      SECRET.replace(btoa('my-own-secret'), 'my-own-secret'),
      /0.yaml:9:\d+ error invalid-value data.CLIENT_SECRET must be base64/,
    ],
    [
      SECRET.replace(btoa('my-own-secret'), btoa('my-own-secret\n')),
      /0.yaml:9:\d+ error invalid-value .*line break: encode it without/,
    ],
    [
      SECRET.replace(/ {2}CLIENT_SECRET.*\n/, ''),
      /error missing-field the Secret default\/my-secret has no CLIENT_SECRET/,
    ],
    [SECRET.replace(/ {2}CLIENT_ID.*\n/, ''), /has no CLIENT_ID/],
    [
      `${SECRET}  client_id: ${btoa('different')}\n`,
      /CLIENT_ID in the Secret differ|client_id and CLIENT_ID in the Secret differ/,
    ],
    [`${SECRET}---\n${SECRET}`, /duplicate-secret the Secret default\/my-secret is already in/],
  ] as const) {
    const result = await b.apply(secret, CLIENT);
    t.equal(result.code, 1);
    t.match(result.err, expected);
    t.notMatch(result.err, /my-own|different/);
  }
  t.same(b.server.clients.list(), []);
  const other = SECRET.replace('namespace: default', 'namespace: elsewhere');
  const ignored = await b.apply(other, CLIENT);
  t.match(ignored, { code: 0, err: /warning ignored-document the Secret elsewhere\/my-secret is ignored/ });
  t.match(await b.apply(SECRET), { code: 1, err: /no-client/ });
});

t.test('what Hydra normalises or does not do is no difference', async (t) => {
  const b = await bench(t);
  const text = CLIENT.replace(
    '  scope:',
    `  allowedCorsOrigins: [ "https://app.example/", "https://b.example" ]
  clientSecretExpiresAt: 1893456000
  tokenLifespans: { client_credentials_grant_access_token_lifespan: 90m }
  scope:`,
  );
  mkdirSync(b.out);
  const first = await b.apply(text);
  t.match(first, { code: 0, out: 'default/mine created\n' });
  t.match(first.err, /0.yaml:7:\d+ warning ignored-field spec.clientSecretExpiresAt has no effect/);
  t.match(b.server.clients.list()[0], { allowed_cors_origins: ['https://app.example', 'https://b.example'] });
  t.match(await b.apply(text), { code: 0, out: 'default/mine unchanged\n' });
});
