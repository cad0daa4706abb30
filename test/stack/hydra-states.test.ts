import { createRemoteJWKSet, jwtVerify } from 'jose';
import t from 'tap';
import { main } from '../../src/cli.js';
import { Recorder } from '../commands/io.js';
import { until } from '../until.js';
import { type AuthorizationServer, start } from './authorization-server.js';
import { spellings } from './hydra/spellings.js';

async function started(t: { teardown(end: () => unknown): void }): Promise<AuthorizationServer> {
  const server = await start();
  t.teardown(() => server.close());
  return server;
}

async function call(url: string, form?: Record<string, string>, headers: Record<string, string> = {}) {
  const body = form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) };
  const response = await fetch(url, { headers, ...body });
  const text = await response.text();
  return {
    status: response.status,
    body: (text === '' ? undefined : JSON.parse(text)) as unknown,
    link: response.headers.get('link'),
  };
}

t.test('without its database Hydra calls every token inactive, and is not ready', async (t) => {
  const server = await started(t);
  const token = await server.issueToken();
  const { client_id: id, client_secret: secret } = server.registerClient();
  const askAll = async () => ({
    introspection: await call(server.introspectionUrl, { token }),
    ready: (await call(`${server.adminUrl}/health/ready`)).status,
    alive: (await call(`${server.adminUrl}/health/alive`)).status,
    client: (await call(`${server.adminUrl}/admin/clients/${id}`)).status,
    token: (
      await call(
        `${server.publicUrl}/oauth2/token`,
        { grant_type: 'client_credentials' },
        { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
      )
    ).status,
  });
  server.setDatabase('down');
  t.match(await askAll(), {
    introspection: { status: 200, body: { active: false } },
    ready: 503,
    alive: 200,
    client: 500,
    token: 401,
  });
  server.setDatabase('up');
  t.match(await askAll(), {
    introspection: { status: 200, body: { active: true } },
    ready: 200,
    alive: 200,
    client: 200,
    token: 200,
  });
});

t.test('a Hydra in memory that restarts knows no client and no token', async (t) => {
  const server = await started(t);
  const token = await server.issueToken({ clientId: 'c' });
  await server.restart();
  t.match((await call(server.introspectionUrl, { token })).body, { active: true });
  await server.restart({ forget: true });
  t.match((await call(server.introspectionUrl, { token })).body, { active: false });
  t.equal((await call(`${server.adminUrl}/admin/clients/c`)).status, 404);
});

t.test('a slow one answers, later', async (t) => {
  const server = await started(t);
  const token = await server.issueToken();
  server.setDelay(1_000_000);
  const controller = new AbortController();
  const waiting = fetch(server.introspectionUrl, {
    method: 'POST',
    body: new URLSearchParams({ token }),
    signal: controller.signal,
  });
  await until(() => server.introspections.length === 1);
  server.setDelay(0);
  t.match((await call(server.introspectionUrl, { token })).body, { active: true }, 'others are not held up');
  controller.abort();
  await t.rejects(waiting);
});

t.test(
  'lists as v1 and early v2 have them name a next page without end, and apply ends all the same',
  async (t) => {
    const server = await started(t);
    server.setPaging('endless');
    for (const offset of [0, 100, 1_000_000]) {
      const { body, link } = await call(`${server.adminUrl}/clients?owner=a/b&offset=${offset}`);
      t.same(body, []);
      t.match(link, new RegExp(`offset=${offset + 100}&.*rel="next"`));
    }
    const folder = t.testdir({
      'client.yaml': `apiVersion: hydra.ory.sh/v1alpha1
kind: OAuth2Client
metadata: { name: mine }
spec: { grantTypes: [client_credentials], scope: read, secretName: my-secret }
`,
    });
    for (const expected of ['created', 'unchanged']) {
      const io = new Recorder();
      const args = [
        'clients',
        'apply',
        '--admin-url',
        `${server.adminUrl}/clients`,
        '--out',
        `${folder}/out`,
      ];
      t.equal(await main([...args, `${folder}/client.yaml`], io), 0);
      t.equal(io.stdout, `default/mine ${expected}\n`);
    }
  },
);

t.test('a rotated key signs and is published at once, and the old one is published still', async (t) => {
  const server = await started(t);
  const old = await server.signToken({ sub: 'alice' });
  await server.rotateKeys();
  const next = await server.signToken({ sub: 'alice' });
  const keys = createRemoteJWKSet(new URL(`${server.publicUrl}/.well-known/jwks.json`));
  const heads = [];
  for (const token of [old, next]) {
    const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer: server.issuer });
    t.equal(payload.sub, 'alice');
    heads.push(protectedHeader.kid);
  }
  t.not(heads[0], heads[1]);
});

t.test('a token has eight spellings, and a revocation of one ends all', async (t) => {
  const server = await started(t);
  const token = await server.issueToken({ claims: { sub: 'alice' } });
  const all = spellings(token);
  t.ok(all.includes(token));
  for (const each of all) {
    t.match(
      (await call(server.introspectionUrl, { token: each })).body,
      { active: true, sub: 'alice' },
      each,
    );
  }
  const [key = '', signature = ''] = token.split('.');
  for (const other of [`${key}.${signature}x`, `${key}A.${signature}`, token.replace('ory_at_', 'ory_rt_')]) {
    t.match((await call(server.introspectionUrl, { token: other })).body, { active: false }, other);
  }
  await server.revoke(all[5] as string);
  for (const each of all)
    t.match((await call(server.introspectionUrl, { token: each })).body, { active: false });
});
