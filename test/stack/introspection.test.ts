import t from 'tap';
import { available } from '../require.js';
import { faults, start } from './authorization-server.js';
import { curl } from './shell.js';

const server = await start();
t.teardown(() => server.close());

async function ask(form: Record<string, string>, url = server.introspectionUrl) {
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form), redirect: 'manual' });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

t.test('an active token: the members that are always there, and no others', async (t) => {
  const token = await server.issueToken({ clientId: 'c1', scope: 'read write' });
  const { status, headers, text } = await ask({ token });
  t.equal(status, 200);
  t.match(headers.get('content-type'), /^application\/json/);
  t.equal(headers.get('cache-control'), null, 'Hydra says so of inactive ones only');
  t.ok(text.endsWith('}\n'));
  const answer = JSON.parse(text) as Record<string, unknown>;
  t.strictSame(Object.keys(answer), [
    'active',
    'scope',
    'client_id',
    'sub',
    'exp',
    'iat',
    'nbf',
    'aud',
    'iss',
    'token_type',
    'token_use',
  ]);
  t.match(answer, {
    active: true,
    scope: 'read write',
    client_id: 'c1',
    sub: 'c1',
    aud: [],
    iss: server.issuer,
    token_type: 'Bearer',
    token_use: 'access_token',
  });
  t.equal(answer.nbf, answer.iat);
  t.equal(answer.exp, (answer.iat as number) + 3600);
});

t.test('no scope, no member', async (t) => {
  const { text } = await ask({ token: await server.issueToken({ scope: '' }) });
  t.notOk('scope' in JSON.parse(text));
});

t.test('whatever is no active token is exactly {"active":false}', async (t) => {
  const revoked = await server.issueToken();
  await server.revoke(revoked);
  const orphan = await server.issueToken({ clientId: 'gone' });
  server.clients.delete('gone');
  for (const form of [
    { token: 'unknown' },
    { token: '' },
    { token_type_hint: 'access_token' },
    { token: revoked },
    { token: orphan },
  ]) {
    const { status, headers, text } = await ask(form as unknown as Record<string, string>);
    t.equal(status, 200);
    t.equal(text, '{"active":false}\n');
    t.equal(headers.get('cache-control'), 'no-store');
  }
});

t.test('a token ends when its time has come', async (t) => {
  const token = await server.issueToken({ lifetime: 60 });
  const now = Date.now;
  t.teardown(() => {
    Date.now = now;
  });
  Date.now = () => now() + 58_000;
  t.match((await ask({ token })).text, '"active":true');
  Date.now = () => now() + 61_000;
  t.equal((await ask({ token })).text, '{"active":false}\n');
});

t.test('an empty form is 400, and the query is not read', async (t) => {
  if (!available(t, 'curl')) return;
  const token = await server.issueToken();
  for (const args of [[], ['-H', 'Content-Type: application/json', '-d', `{"token":"${token}"}`]]) {
    const { status, body } = await curl('-X', 'POST', ...args, `${server.introspectionUrl}?token=${token}`);
    t.equal(status, 400);
    t.match(JSON.parse(body), { error: 'invalid_request', error_description: String });
  }
});

t.test('multipart, v1 path and trailing slash', async (t) => {
  if (!available(t, 'curl')) return;
  const token = await server.issueToken();
  for (const path of [
    '/admin/oauth2/introspect',
    '/oauth2/introspect',
    '/oauth2/introspect/',
    '/admin/oauth2/introspect/',
  ]) {
    const { status, body } = await curl('-F', `token=${token}`, server.adminUrl + path);
    t.equal(status, 200, path);
    t.match(JSON.parse(body), { active: true });
  }
  t.not(
    (await ask({ token }, `${server.publicUrl}/oauth2/introspect`)).status,
    200,
    'not on the public port',
  );
  t.equal((await fetch(server.introspectionUrl)).status, 405);
});

t.test('a scope that is asked for must be granted, all of it', async (t) => {
  const token = await server.issueToken({ scope: 'foo.* read' });
  const active = async (scope: string) =>
    (JSON.parse((await ask({ token, scope })).text) as { active: boolean }).active;
  t.equal(await active('read'), true);
  t.equal(await active('read foo.bar'), true);
  t.equal(await active('read write'), false);
  t.equal(await active('foo'), false);
});

t.test('refresh tokens and members that a test adds', async (t) => {
  const token = await server.issueToken({
    use: 'refresh_token',
    claims: { sub: 'alice', ext: { role: 'x' } },
  });
  t.match(token, /^ory_rt_/);
  t.match(JSON.parse((await ask({ token })).text), {
    active: true,
    token_use: 'refresh_token',
    token_type: 'Bearer',
    sub: 'alice',
    ext: { role: 'x' },
  });
});

t.test('every introspection is on record', async (t) => {
  server.introspections.length = 0;
  await ask({ token: 'one' });
  await ask({ token: 'two', scope: 'x' });
  t.match(server.introspections, [{ token: 'one' }, { token: 'two' }]);
  t.equal(server.introspections[1]?.form.get('scope'), 'x');
});

t.test('trouble: status, nonsense, reset, silence, down and up again', async (t) => {
  const token = await server.issueToken();
  server.setFault(faults.status(503, { 'retry-after': '7' }));
  const refused = await ask({ token });
  t.equal(refused.status, 503);
  t.equal(refused.headers.get('retry-after'), '7');
  server.setFault(faults.body('{"active":"true"}'));
  t.equal((await ask({ token })).text, '{"active":"true"}');
  server.setFault(faults.reset());
  await t.rejects(ask({ token }));
  server.setFault(faults.hang());
  const gone = new AbortController();
  const hanging = fetch(server.introspectionUrl, { method: 'POST', body: 'token=a', signal: gone.signal });
  gone.abort();
  await t.rejects(hanging);
  server.setFault(undefined);

  await server.stop();
  await t.rejects(ask({ token }));
  await server.restart();
  t.match(JSON.parse((await ask({ token })).text), { active: true }, 'tokens outlive a restart');
  await server.restart({ forget: true });
  t.equal((await ask({ token })).text, '{"active":false}\n');
});

t.test('health and version, on both ports', async (t) => {
  for (const base of [server.publicUrl, server.adminUrl]) {
    t.strictSame(await (await fetch(`${base}/health/alive`)).json(), { status: 'ok' });
    t.strictSame(await (await fetch(`${base}/health/ready`)).json(), { status: 'ok' });
    t.match(await (await fetch(`${base}/version`)).json(), { version: String });
  }
});
