import t from 'tap';
import { start } from './authorization-server.js';

const server = await start();
t.teardown(() => server.close());

async function call(method: string, path: string, body?: unknown) {
  const response = await fetch(`${server.adminUrl}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  };
}

const C1 = {
  client_id: 'c1',
  client_secret: 'secret-1',
  grant_types: ['client_credentials'],
  scope: 'read write',
  token_endpoint_auth_method: 'client_secret_basic',
};

t.test('create, read, replace, patch, delete', async (t) => {
  const created = await call('POST', '/admin/clients', C1);
  t.equal(created.status, 201);
  t.match(created.body, {
    ...C1,
    client_secret_expires_at: 0,
    owner: '',
    audience: [],
    created_at: /Z$/,
    updated_at: /Z$/,
  });

  const read = await call('GET', '/admin/clients/c1');
  t.equal(read.status, 200);
  t.notOk('client_secret' in read.body, 'the secret is told once');
  t.strictSame(await call('GET', '/clients/c1').then(({ body }) => body), read.body, "v1's path");

  const put = await call('PUT', '/admin/clients/c1', {
    grant_types: ['client_credentials'],
    audience: ['api'],
  });
  t.equal(put.status, 200);
  t.match(
    put.body,
    { client_id: 'c1', audience: ['api'], scope: 'offline_access offline openid' },
    'PUT replaces everything',
  );
  t.notOk('client_secret' in put.body);
  t.equal(server.clients.get('c1')?.client_secret, 'secret-1', 'but for a secret it does not name');
  t.equal(
    (await call('PUT', '/admin/clients/c1', { ...C1, client_secret: 'secret-2' })).body.client_secret,
    'secret-2',
  );

  const patch = await call('PATCH', '/admin/clients/c1', [{ op: 'replace', path: '/scope', value: 'read' }]);
  t.equal(patch.status, 200);
  t.equal(patch.body.scope, 'read');
  t.equal(
    (await call('PATCH', '/admin/clients/c1', [{ op: 'replace', path: '/no/where', value: 1 }])).status,
    500,
  );
  t.equal((await call('PATCH', '/admin/clients/c1', { scope: 'x' })).status, 500);

  t.equal((await call('DELETE', '/admin/clients/c1')).status, 204);
  t.equal((await call('GET', '/admin/clients/c1')).status, 404);
});

t.test('errors carry error and error_description', async (t) => {
  await call('POST', '/admin/clients', C1);
  for (const [method, path, body, status] of [
    ['POST', '/admin/clients', C1, 409],
    ['POST', '/admin/clients', { client_secret: 'short' }, 400],
    ['POST', '/admin/clients', { grant_types: 'client_credentials' }, 400],
    ['POST', '/admin/clients', 'text', 400],
    ['GET', '/admin/clients/nobody', undefined, 404],
    ['PUT', '/admin/clients/nobody', C1, 404],
    ['PATCH', '/admin/clients/nobody', [], 404],
    ['DELETE', '/admin/clients/nobody', undefined, 404],
  ] as const) {
    const answer = await call(method, path, body);
    t.equal(answer.status, status, `${method} ${path}`);
    t.strictSame(Object.keys(answer.body), ['error', 'error_description']);
  }
});

t.test('an id and a secret are made where none is given', async (t) => {
  const { body } = await call('POST', '/admin/clients', { grant_types: ['client_credentials'] });
  t.match(body, { client_id: /^[\da-f-]{36}$/, client_secret: /^[\w.~-]{26,}$/ });
  const { body: open } = await call('POST', '/admin/clients', { token_endpoint_auth_method: 'none' });
  t.notOk('client_secret' in open);
});

t.test('the list has pages, and can be filtered by owner', async (t) => {
  for (let index = 0; index < 5; index++)
    await call('POST', '/admin/clients', { ...C1, client_id: `p${index}`, owner: 'p/q' });
  const first = await call('GET', '/admin/clients?owner=p%2Fq&page_size=3');
  t.strictSame(
    first.body.map((client: { client_id: string }) => client.client_id),
    ['p0', 'p1', 'p2'],
  );
  const next = /<([^>]+)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
  const second = await call('GET', next);
  t.strictSame(
    second.body.map((client: { client_id: string }) => client.client_id),
    ['p3', 'p4'],
  );
  t.notMatch(second.headers.get('link'), 'rel="next"');
  t.notOk(first.body.some((client: object) => 'client_secret' in client));
});
