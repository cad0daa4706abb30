import t, { type Test } from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { start as startHydra } from '../../stack/authorization-server.js';
import { FAULTS, json, startStore } from '../../store.js';

async function start(t: Test, config: object = {}) {
  const store = await startStore();
  const clock = fakeClock();
  t.teardown(() => store.close());
  const strategy = {
    handler: 'oauth2_client_credentials',
    config: { token_url: `${store.url}/token`, ...config },
  };
  const rules = apiRule('gate.example', [{ path: '/.*', methods: ['GET'], accessStrategies: [strategy] }]);
  const gate = await startTestGateway(t, { rules, clock });
  const get = (credentials = 'client:secret') =>
    ask(gate, '/x', { headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` } });
  return { store, clock, gate, get };
}

t.test('Basic credentials are tried at the token endpoint, and for a while not again', async (t) => {
  const { store, clock, gate, get } = await start(t, { required_scope: ['read', 'list'] });
  store.respond = json({ access_token: 'x', token_type: 'bearer', expires_in: 30 });
  t.equal((await get('cli%3Aent:s%25+t')).status, 200);
  const { message, body } = store.calls[0] as (typeof store.calls)[number];
  t.equal(`${message.method} ${message.url}`, 'POST /token');
  t.equal(
    Buffer.from(String(message.headers.authorization).slice(6), 'base64').toString(),
    'cli%3Aent:s%25+t',
  );
  t.same(Object.fromEntries(new URLSearchParams(body)), {
    grant_type: 'client_credentials',
    scope: 'read list',
  });
  t.equal(gate.log.find(({ subject }) => subject !== undefined)?.subject, 'cli:ent');

  clock.advance(29_000);
  t.equal((await get('cli%3Aent:s%25+t')).status, 200);
  t.equal(store.calls.length, 1, 'known');
  t.equal((await get('cli%3Aent:other')).status, 200);
  t.equal(store.calls.length, 2, 'another secret is another client');
  clock.advance(2_000);
  t.equal((await get('cli%3Aent:s%25+t')).status, 200);
  t.equal(store.calls.length, 3, 'forgotten with the token’s life');

  const many = await Promise.all([1, 2, 3, 4, 5].map(() => get('fresh:1')));
  t.ok(many.every(({ status }) => status === 200));
  t.equal(store.calls.length, 4, 'one call for all that wait');
});

t.test('what the token endpoint refuses', async (t) => {
  const { store, get } = await start(t, { required_scope: ['read', 'list'] });
  store.respond = json({ error: 'invalid_client' }, 401);
  t.equal((await get()).status, 401);
  t.equal((await get()).status, 401);
  t.equal(store.calls.length, 2, 'a refusal is not kept');
  store.respond = json({ error: 'invalid_scope' }, 400);
  const lacking = await get();
  t.equal(lacking.status, 403);
  t.match(lacking.headers['www-authenticate'], 'scope="read list"');
  store.respond = json({ access_token: 'x', scope: 'read' });
  t.equal((await get()).status, 403, 'granted less than asked for');
  store.respond = json({ error: 'unauthorized_client' }, 403);
  t.equal((await get()).status, 401);
  store.respond = json({ access_token: 'x', scope: 'more list read' });
  t.equal((await get()).status, 200, 'granted more');
});

t.test('without its database Hydra refuses every client: 503, as it is not ready', async (t) => {
  const hydra = await startHydra();
  t.teardown(() => hydra.close());
  const { client_id: id, client_secret: secret } = hydra.registerClient();
  const { clock, get } = await start(t, { token_url: `${hydra.publicUrl}/oauth2/token` });
  const good = `${id}:${secret}`;
  t.equal((await get(good)).status, 200);
  hydra.setDatabase('down');
  t.equal((await get(good)).status, 200, 'known for a while');
  clock.advance(60_000);
  const refused = await get(good);
  t.equal(refused.status, 503);
  t.equal(refused.headers['retry-after'], '1');
  hydra.setDatabase('up');
  t.equal((await get(good)).status, 200);
  clock.advance(1_000);
  t.equal((await get(`${id}:wrong`)).status, 401, 'a wrong secret is one still');
});

t.test('requests without client credentials, or with broken ones', async (t) => {
  const { store, gate, get } = await start(t);
  t.equal((await ask(gate, '/x')).status, 401);
  t.equal((await ask(gate, '/x', { token: 'abc' })).status, 401);
  t.equal((await get('no colon')).status, 400);
  t.equal((await get(':secret')).status, 400);
  t.equal((await get('a:%zz')).status, 400);
  t.equal((await ask(gate, '/x', { headers: { authorization: 'Basic !!' } })).status, 400);
  // 3,072 bytes make 4,096 characters of Base64.
  t.equal((await get(`client:${'x'.repeat(3_066)}`)).status, 400, 'longer than anybody’s');
  t.equal(store.calls.length, 0);
  store.respond = json({ access_token: 'x' });
  t.equal((await get(`client:${'x'.repeat(3_065)}`)).status, 200);
});

t.test('a token endpoint in trouble is answered 503, never 401', async (t) => {
  const { store, get } = await start(t);
  for (const [name, fault] of Object.entries({
    ...FAULTS,
    404: json({}, 404),
    empty: json({}),
    list: json([]),
  })) {
    store.respond = fault;
    const answer = await get();
    t.equal(answer.status, 503, name);
    t.ok(answer.headers['retry-after']);
  }
});

t.test('without a cache every request is tried', async (t) => {
  const { store, get } = await start(t, { cache: { enabled: false } });
  store.respond = json({ access_token: 'x' });
  await get();
  await get();
  t.equal(store.calls.length, 2);
});

t.test('retry makes a failed call again, until it gives up', async (t) => {
  const { store, get } = await start(t, { retry: { give_up_after: '30s', max_delay: '1ms' } });
  let failures = 2;
  store.respond = (message, response, body) => {
    if (failures-- > 0) response.writeHead(500).end();
    else json({ access_token: 'x', token_type: 'bearer' })(message, response, body);
  };
  t.equal((await get()).status, 200);
  t.equal(store.calls.length, 3);
  store.respond = json({ error: 'invalid_client' }, 401);
  t.equal((await get('other:1')).status, 401);
  t.equal(store.calls.filter(({ message }) => message.url === '/token').length, 4, 'a refusal is an answer');

  const soon = await start(t, { retry: { give_up_after: '1ms' } });
  soon.store.respond = (_message, response) => response.writeHead(500).end();
  t.equal((await soon.get()).status, 503);
});
