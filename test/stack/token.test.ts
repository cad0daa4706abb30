import t from 'tap';
import { available } from '../require.js';
import { start } from './authorization-server.js';
import { curl } from './shell.js';

const server = await start();
t.teardown(() => server.close());
const endpoint = `${server.publicUrl}/oauth2/token`;

server.registerClient({
  client_id: 'c1',
  client_secret: 'secret-1',
  scope: 'read write',
  audience: ['api', 'other'],
});
server.registerClient({ client_id: 'a+b%c', client_secret: 's:/ +%e', scope: 'foo.* exact' });
server.registerClient({
  client_id: 'post',
  client_secret: 'secret-2',
  token_endpoint_auth_method: 'client_secret_post',
});
server.registerClient({ client_id: 'public', token_endpoint_auth_method: 'none' });
server.registerClient({
  client_id: 'browser',
  client_secret: 'secret-3',
  grant_types: ['authorization_code'],
});

interface Body {
  readonly error?: string;
  readonly access_token?: string;
  readonly scope?: string;
}

async function ask(form: Record<string, string> | [string, string][], basic?: string) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: basic === undefined ? {} : { authorization: `Basic ${Buffer.from(basic).toString('base64')}` },
    body: new URLSearchParams(form),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Body };
}

t.test('the tutorial: curl -F with Basic credentials', async (t) => {
  if (!available(t, 'curl')) return;
  const { status, head, body } = await curl(
    '-u',
    'c1:secret-1',
    '-F',
    'grant_type=client_credentials',
    '-F',
    'scope=read',
    endpoint,
  );
  t.equal(status, 200);
  t.match(head, /^cache-control: no-store\r?$/im);
  const answer = JSON.parse(body) as Record<string, unknown>;
  t.match(answer.access_token, /^ory_at_[\w.-]{40,}$/);
  t.strictSame(
    { ...answer, access_token: '' },
    { access_token: '', expires_in: 3599, scope: 'read', token_type: 'bearer' },
  );
});

t.test('a form works as well, and so does a chunked multipart', async (t) => {
  if (!available(t, 'curl')) return;
  t.equal(
    (await ask({ grant_type: 'client_credentials', scope: 'read write' }, 'c1:secret-1')).body.scope,
    'read write',
  );
  const chunked = [
    '-H',
    'Transfer-Encoding: chunked',
    '-u',
    'c1:secret-1',
    '-F',
    'grant_type=client_credentials',
  ];
  t.equal((await curl(...chunked, endpoint)).status, 200);
});

t.test('Basic credentials are form-decoded (RFC 6749 section 2.3.1)', async (t) => {
  const encoded = `${encodeURIComponent('a+b%c')}:${encodeURIComponent('s:/ +%e')}`;
  t.equal((await ask({ grant_type: 'client_credentials' }, encoded)).status, 200);
  t.equal((await ask({ grant_type: 'client_credentials' }, encoded.replaceAll('%20', '+'))).status, 200);
  t.equal((await ask({ grant_type: 'client_credentials' }, 'a+b%c:s:/ +%e')).body.error, 'invalid_request');
});

t.test('scopes are granted as they were asked for', async (t) => {
  const basic = `${encodeURIComponent('a+b%c')}:${encodeURIComponent('s:/ +%e')}`;
  const scopeOf = async (scope: string) =>
    (await ask({ grant_type: 'client_credentials', scope }, basic)).body;
  t.equal((await scopeOf('')).scope, '', 'none asked, none granted');
  t.equal((await scopeOf('foo.bar')).scope, 'foo.bar');
  t.equal((await scopeOf('foo.*')).scope, 'foo.*', 'literally');
  t.equal((await scopeOf('foo.a.b exact')).scope, 'foo.a.b exact');
  for (const scope of ['foo', 'foo.', 'exact.more', 'admin', 'exact admin']) {
    t.equal((await scopeOf(scope)).error, 'invalid_scope', scope);
  }
});

t.test('an audience is granted only where it is asked for and listed', async (t) => {
  const ask2 = (form: [string, string][]) =>
    ask([['grant_type', 'client_credentials'], ...form], 'c1:secret-1');
  for (const [form, aud] of [
    [[], []],
    [[['audience', 'api']], ['api']],
    [[['audience', 'api other']], ['api', 'other']],
    [
      [
        ['audience', 'api'],
        ['audience', 'other'],
      ],
      ['api', 'other'],
    ],
  ] as [[string, string][], string[]][]) {
    const token = (await ask2(form)).body.access_token ?? '';
    const response = await fetch(server.introspectionUrl, {
      method: 'POST',
      body: new URLSearchParams({ token }),
    });
    t.strictSame(((await response.json()) as { aud: unknown }).aud, aud);
  }
  t.match(await ask2([['audience', 'api elsewhere']]), { status: 400, body: { error: 'invalid_request' } });
});

t.test('errors have the status and code of Hydra, and never a WWW-Authenticate', async (t) => {
  const grant = { grant_type: 'client_credentials' };
  for (const [what, answer, status, error] of [
    ['wrong secret', await ask(grant, 'c1:wrong-secret'), 401, 'invalid_client'],
    ['unknown client', await ask(grant, 'nobody:secret-1'), 401, 'invalid_client'],
    [
      'secret in the body of a Basic client',
      await ask({ ...grant, client_id: 'c1', client_secret: 'secret-1' }),
      401,
      'invalid_client',
    ],
    ['Basic for a client_secret_post client', await ask(grant, 'post:secret-2'), 401, 'invalid_client'],
    ['no credentials at all', await ask(grant), 400, 'invalid_request'],
    ['no grant_type', await ask({ scope: 'read' }, 'c1:secret-1'), 400, 'invalid_request'],
    ['unknown grant_type', await ask({ grant_type: 'magic' }, 'c1:secret-1'), 400, 'invalid_request'],
    ['empty body', await ask({}, 'c1:secret-1'), 400, 'invalid_request'],
    ['grant not allowed for the client', await ask(grant, 'browser:secret-3'), 400, 'unauthorized_client'],
    ['public client', await ask({ ...grant, client_id: 'public' }), 400, 'invalid_grant'],
  ] as const) {
    t.equal(answer.status, status, what);
    t.equal(answer.body.error, error, what);
    t.strictSame(Object.keys(answer.body), ['error', 'error_description'], what);
    t.equal(answer.headers.get('www-authenticate'), null, what);
    t.match(answer.headers.get('cache-control'), 'no-store', what);
  }
  t.equal((await ask({ ...grant, client_id: 'post', client_secret: 'secret-2' })).status, 200);
});

t.test('a body that is no form is an empty one', async (t) => {
  if (!available(t, 'curl')) return;
  const json = await curl(
    '-u',
    'c1:secret-1',
    '-H',
    'Content-Type: application/json',
    '-d',
    '{"grant_type":"client_credentials"}',
    endpoint,
  );
  t.equal(json.status, 400);
  const broken = await curl(
    '-u',
    'c1:secret-1',
    '-H',
    'Content-Type: multipart/form-data; boundary=x',
    '-d',
    'no part',
    endpoint,
  );
  t.equal(broken.status, 400);
  t.match(JSON.parse(broken.body), { error: 'invalid_request' });
});

t.test('discovery and keys', async (t) => {
  const discovery = (await (
    await fetch(`${server.publicUrl}/.well-known/openid-configuration`)
  ).json()) as Record<string, string>;
  t.match(discovery, {
    issuer: server.issuer,
    token_endpoint: endpoint,
    revocation_endpoint: `${server.publicUrl}/oauth2/revoke`,
  });
  const keys = (await (await fetch(discovery.jwks_uri as string)).json()) as {
    keys: Record<string, unknown>[];
  };
  t.match(keys.keys, [{ kty: 'RSA', alg: 'RS256' }]);
  t.notOk(keys.keys[0]?.d, 'the private part stays private');
});

t.test('a client may revoke its token (RFC 7009)', async (t) => {
  if (!available(t, 'curl')) return;
  const token = (await ask({ grant_type: 'client_credentials' }, 'c1:secret-1')).body.access_token ?? '';
  const active = async () => {
    const response = await fetch(server.introspectionUrl, {
      method: 'POST',
      body: new URLSearchParams({ token }),
    });
    return ((await response.json()) as { active: boolean }).active;
  };
  t.equal(await active(), true);
  const { status } = await curl(
    '-u',
    'c1:secret-1',
    '-F',
    `token=${token}`,
    `${server.publicUrl}/oauth2/revoke`,
  );
  t.equal(status, 200);
  t.equal(await active(), false);
});
