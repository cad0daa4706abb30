import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { main } from '../../../src/cli.js';
import { type AuthorizationServer, start } from '../../stack/authorization-server.js';
import { Recorder } from '../io.js';

const TUTORIAL = `apiVersion: hydra.ory.sh/v1alpha1
kind: OAuth2Client
metadata:
  name: tutorial
  namespace: default
spec:
  grantTypes:
    - "client_credentials"
  scope: "read write"
  secretName: tutorial-secret
`;

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One authorization server, one manifest file and one output folder. */
class Bench {
  readonly server: AuthorizationServer;
  readonly folder: string;
  readonly manifest: string;
  readonly out: string;

  constructor(server: AuthorizationServer, folder: string) {
    this.server = server;
    this.folder = folder;
    this.manifest = join(folder, 'client.yaml');
    this.out = join(folder, 'out');
    this.write(TUTORIAL);
  }

  write(text: string): void {
    writeFileSync(this.manifest, text);
  }

  async apply(...more: string[]): Promise<Result> {
    const files = more.length > 0 ? more : [this.manifest];
    return await run(['apply', '--admin-url', this.server.adminUrl, '--out', this.out, ...files]);
  }

  read(key: string, secretName = 'tutorial-secret'): string {
    return readFileSync(join(this.out, secretName, key), 'utf8');
  }

  put(key: string, value: string, secretName = 'tutorial-secret'): void {
    mkdirSync(join(this.out, secretName), { recursive: true });
    writeFileSync(join(this.out, secretName, key), value);
  }
}

async function run(args: string[]): Promise<Result> {
  const io = new Recorder();
  const code = await main(['clients', ...args], io);
  return { code, out: io.stdout, err: io.stderr };
}

async function bench(t: Test): Promise<Bench> {
  const server = await start();
  t.teardown(() => server.close());
  return new Bench(server, t.testdir());
}

t.test('the tutorial client is created, and its credentials get a token', async (t) => {
  const b = await bench(t);
  t.strictSame(await b.apply(), { code: 0, out: 'default/tutorial created\n', err: '' });
  const client = b.server.clients.get(b.read('client_id'));
  t.match(client, { scope: 'read write', grant_types: ['client_credentials'], owner: 'tutorial/default' });
  const basic = Buffer.from(`${b.read('client_id')}:${b.read('client_secret')}`).toString('base64');
  const response = await fetch(`${b.server.publicUrl}/oauth2/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'write' }),
  });
  t.equal(response.status, 200);
});

t.test('credentials are private: folder 0700, files 0600, nothing half-written left', async (t) => {
  const b = await bench(t);
  await b.apply();
  const folder = join(b.out, 'tutorial-secret');
  t.strictSame(readdirSync(folder).sort(), ['client_id', 'client_secret']);
  t.equal(statSync(folder).mode & 0o777, 0o700);
  t.equal(statSync(b.out).mode & 0o777, 0o700);
  for (const key of ['client_id', 'client_secret']) t.equal(statSync(join(folder, key)).mode & 0o777, 0o600);
});

t.test('a second run changes nothing and says so', async (t) => {
  const b = await bench(t);
  await b.apply();
  const [id, secret] = [b.read('client_id'), b.read('client_secret')];
  const before = JSON.stringify(b.server.clients.get(id));
  t.strictSame(await b.apply(), { code: 0, out: 'default/tutorial unchanged\n', err: '' });
  t.equal(JSON.stringify(b.server.clients.get(id)), before);
  t.strictSame([b.read('client_id'), b.read('client_secret')], [id, secret]);
  t.equal(b.server.clients.list().length, 1);
});

t.test('drift is replaced: changed, added and removed fields', async (t) => {
  const b = await bench(t);
  await b.apply();
  const id = b.read('client_id');
  for (const change of [
    { scope: 'read write admin' },
    { audience: ['https://somewhere.example'] },
    { grant_types: ['client_credentials', 'authorization_code'] },
    { metadata: { injected: true } },
    { token_endpoint_auth_method: 'none' },
    { client_credentials_grant_access_token_lifespan: '24h0m0s' },
  ]) {
    b.server.clients.replace(id, { ...b.server.clients.read(id), ...change });
    t.equal((await b.apply()).out, 'default/tutorial updated\n', JSON.stringify(change));
    t.match(b.server.clients.get(id), { scope: 'read write', audience: [], metadata: {} });
    t.equal(b.server.clients.get(id)?.client_secret, b.read('client_secret'));
    t.equal((await b.apply()).out, 'default/tutorial unchanged\n');
  }
});

t.test('order is no drift, and neither is what Hydra fills in', async (t) => {
  const b = await bench(t);
  await b.apply();
  const id = b.read('client_id');
  b.server.clients.replace(id, {
    ...b.server.clients.read(id),
    scope: 'write  read',
    response_types: ['code'],
  });
  t.equal((await b.apply()).out, 'default/tutorial unchanged\n');
  b.write(TUTORIAL.replace('  scope: "read write"\n', ''));
  t.equal((await b.apply()).out, 'default/tutorial updated\n', 'without a scope Hydra gives its own');
  t.equal((await b.apply()).out, 'default/tutorial unchanged\n');
});

t.test('a changed manifest updates the client and keeps its id and secret', async (t) => {
  const b = await bench(t);
  await b.apply();
  const [id, secret] = [b.read('client_id'), b.read('client_secret')];
  b.write(TUTORIAL.replace('read write', 'read'));
  t.equal((await b.apply()).out, 'default/tutorial updated\n');
  t.match(b.server.clients.get(id), { scope: 'read', client_secret: secret });
  t.equal(b.read('client_secret'), secret);
});

t.test('every field goes to Hydra, and comes back as no difference', async (t) => {
  const b = await bench(t);
  b.write(`${TUTORIAL}  scopeArray: [admin]
  clientName: The tutorial
  responseTypes: [code, id_token]
  redirectUris: ['https://a.example/cb']
  requestUris: ['https://a.example/request']
  postLogoutRedirectUris: ['https://a.example/out']
  allowedCorsOrigins: ['https://a.example']
  audience: [https://api.example]
  skipConsent: true
  skipLogoutConsent: true
  tokenEndpointAuthMethod: client_secret_post
  tokenLifespans: { client_credentials_grant_access_token_lifespan: 90m }
  metadata: { team: a, nested: { b: [1] } }
  jwksUri: https://a.example/jwks
  frontChannelLogoutSessionRequired: true
  frontChannelLogoutURI: https://a.example/front
  backChannelLogoutSessionRequired: true
  backChannelLogoutURI: https://a.example/back
  deletionPolicy: orphan
  logoUri: https://a.example/logo
  clientUri: https://a.example
  policyUri: https://a.example/policy
  tosUri: https://a.example/tos
  contacts: [a@a.example]
  accessTokenStrategy: opaque
  clientSecretExpiresAt: 0
  subjectType: public
  sectorIdentifierUri: https://a.example/sector
  requestObjectSigningAlg: RS256
  tokenEndpointAuthSigningAlg: RS256
  userinfoSignedResponseAlg: none
`);
  t.strictSame(await b.apply(), { code: 0, out: 'default/tutorial created\n', err: '' });
  const id = b.read('client_id');
  t.match(b.server.clients.get(id), {
    scope: 'admin read write',
    client_name: 'The tutorial',
    token_endpoint_auth_method: 'client_secret_post',
    client_credentials_grant_access_token_lifespan: '1h30m0s',
    metadata: { team: 'a', nested: { b: [1] } },
    backchannel_logout_uri: 'https://a.example/back',
  });
  b.server.clients.replace(id, {
    ...b.server.clients.read(id),
    client_credentials_grant_access_token_lifespan: '1h30m0s',
  });
  t.equal((await b.apply()).out, 'default/tutorial unchanged\n');
});

t.test('a Hydra that lost its memory gets the client back with the same id and secret', async (t) => {
  const b = await bench(t);
  await b.apply();
  const [id, secret] = [b.read('client_id'), b.read('client_secret')];
  await b.server.restart({ forget: true });
  t.equal(b.server.clients.get(id), undefined);
  t.strictSame(await b.apply(), { code: 0, out: 'default/tutorial created\n', err: '' });
  t.equal(b.server.clients.get(id)?.client_secret, secret);
  t.strictSame([b.read('client_id'), b.read('client_secret')], [id, secret]);
});

t.test('lost credentials: the clients this owner left behind go, those of others stay', async (t) => {
  const b = await bench(t);
  for (let index = 0; index < 3; index++) b.server.registerClient({ owner: 'tutorial/default' });
  const other = b.server.registerClient({ owner: 'tutorial/elsewhere' });
  const result = await b.apply();
  t.equal(result.code, 0);
  t.equal(result.out, 'default/tutorial created\n');
  t.equal(result.err.match(/warning replaced-client default\/tutorial: deleted the client/g)?.length, 3);
  t.strictSame(
    b.server.clients
      .list()
      .map((client) => client.client_id)
      .sort(),
    [other.client_id, b.read('client_id')].sort(),
  );
});

t.test('a client found on the second page of the list is found', async (t) => {
  const b = await bench(t);
  for (let index = 0; index < 520; index++) b.server.registerClient({ owner: 'tutorial/default' });
  t.equal((await b.apply()).code, 0);
  t.equal(b.server.clients.list().length, 1);
});

t.test('half of the credentials is none of them', async (t) => {
  const b = await bench(t);
  await b.apply();
  b.put('client_secret', '');
  const old = b.read('client_id');
  t.equal((await b.apply()).out, 'default/tutorial created\n');
  t.not(b.read('client_id'), old);
  t.equal(b.server.clients.get(b.read('client_id'))?.client_secret, b.read('client_secret'));
});

t.test('a client of another owner is an error and stays as it is', async (t) => {
  const b = await bench(t);
  for (const owner of ['somebody/else', '']) {
    const client = b.server.registerClient({ owner, scope: 'theirs' });
    b.put('client_id', client.client_id);
    b.put('client_secret', 'whatever-secret');
    const { code, out, err } = await b.apply();
    t.equal(code, 1);
    t.equal(out, '');
    t.match(
      err,
      /client\.yaml:1:1 error apply-failed default\/tutorial: the client \S+ (belongs to|has no owner).*stays unchanged/,
    );
    t.match(b.server.clients.get(client.client_id), { scope: 'theirs', owner });
  }
});

t.test('both names of the keys are read, with the newline that an editor leaves', async (t) => {
  const b = await bench(t);
  b.put('CLIENT_ID', 'upper\n');
  b.put('CLIENT_SECRET', 'upper-secret\n');
  t.equal((await b.apply()).out, 'default/tutorial created\n');
  t.match(b.server.clients.get('upper'), { client_secret: 'upper-secret' });
  t.equal((await b.apply()).out, 'default/tutorial unchanged\n');
  b.put('client_id', 'lower');
  const { code, err } = await b.apply();
  t.equal(code, 1);
  t.match(err, /client_id and CLIENT_ID in .* differ/);
});

t.test('a public client has an id and no secret', async (t) => {
  const b = await bench(t);
  b.write(`${TUTORIAL}  tokenEndpointAuthMethod: none\n`);
  t.equal((await b.apply()).out, 'default/tutorial created\n');
  t.strictSame(readdirSync(join(b.out, 'tutorial-secret')), ['client_id']);
  t.equal((await b.apply()).out, 'default/tutorial unchanged\n');
});

t.test('trouble is never told as success', async (t) => {
  await t.test('Hydra is down', async (t) => {
    const b = await bench(t);
    await b.server.stop();
    const { code, out, err } = await b.apply();
    t.strictSame({ code, out }, { code: 1, out: '' });
    t.match(
      err,
      /error apply-failed default\/tutorial: GET http:\/\/127\.0\.0\.1:\d+\/admin\/clients failed: ECONNREFUSED\n$/,
    );
    t.strictSame(readdirSync(join(b.out, 'tutorial-secret')), []);
  });
  await t.test('Hydra refuses, and its reason is printed without the secret', async (t) => {
    const b = await bench(t);
    b.put('client_id', 'short');
    b.put('client_secret', 'five5');
    const { code, out, err } = await b.apply();
    t.strictSame({ code, out }, { code: 1, out: '' });
    t.match(
      err,
      /POST http\S+ failed: Hydra responded 400 \(invalid_client_metadata: .*at least 6 characters/,
    );
    t.notMatch(err, 'five5');
  });
  await t.test('the disk refuses: no client is left that nobody can use', async (t) => {
    const b = await bench(t);
    writeFileSync(b.out, 'a file, no folder');
    const { code, out, err } = await b.apply();
    t.strictSame({ code, out }, { code: 1, out: '' });
    t.match(err, /error apply-failed default\/tutorial: (ENOTDIR|EEXIST)/);
    t.equal(b.server.clients.list().length, 0);
  });
  await t.test('one client fails, the others are applied all the same', async (t) => {
    const b = await bench(t);
    b.put('client_id', 'short', 'broken');
    b.put('client_secret', 'five5', 'broken');
    b.write(
      [
        TUTORIAL.replaceAll('tutorial-secret', 'broken').replace('name: tutorial', 'name: broken'),
        TUTORIAL,
      ].join('---\n'),
    );
    const { code, out } = await b.apply();
    t.strictSame({ code, out }, { code: 1, out: 'default/tutorial created\n' });
  });
});

t.test('files with several documents, lists, JSON and other kinds', async (t) => {
  const b = await bench(t);
  const second = TUTORIAL.replaceAll('tutorial', 'second');
  const third = { apiVersion: 'hydra.ory.sh/v1alpha1', kind: 'OAuth2Client', metadata: { name: 'third' } };
  const spec = { grantTypes: ['client_credentials'], secretName: 'third' };
  writeFileSync(
    join(b.folder, 'list.json'),
    JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [{ ...third, spec }] }),
  );
  b.write(`${TUTORIAL}---\napiVersion: v1\nkind: Secret\nmetadata: { name: x }\n---\n${second}`);
  const { code, out, err } = await b.apply(b.manifest, join(b.folder, 'list.json'));
  t.equal(code, 0);
  t.equal(out, 'default/tutorial created\ndefault/second created\ndefault/third created\n');
  t.match(
    err,
    /client\.yaml:13:7 warning ignored-document the Secret default\/x is ignored: no OAuth2Client of its namespace has it as secretName\n$/,
  );
});

t.test("a manifest's own hydraAdmin is where its client goes", async (t) => {
  const b = await bench(t);
  const other = await start();
  t.teardown(() => other.close());
  const { port } = new URL(other.adminUrl);
  b.write(
    `${TUTORIAL}  hydraAdmin: { url: "http://127.0.0.1", port: ${port}, endpoint: /clients, forwardedProto: https }\n`,
  );
  t.equal((await b.apply()).out, 'default/tutorial created\n');
  t.equal(other.clients.list().length, 1);
  t.equal(b.server.clients.list().length, 0);
});

t.test("the address may be Hydra v1's collection, or end in a slash or /admin", async (t) => {
  const b = await bench(t);
  for (const path of ['/clients', '/', '/admin', '/admin/clients/']) {
    const { code } = await run([
      'apply',
      '--admin-url',
      b.server.adminUrl + path,
      '--out',
      b.out,
      b.manifest,
    ]);
    t.equal(code, 0, path);
  }
  t.equal(b.server.clients.list().length, 1);
});
