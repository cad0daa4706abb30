import t, { type Test } from 'tap';
import { ask } from '../ask.js';
import { type FakeClock, fakeClock } from '../clock.js';
import { apiRule, startTestGateway, type TestGateway } from '../gateway.js';
import { startIssuer } from '../jwks.js';
import { prove } from './statements.js';

const NOW = fakeClock().wall();

const strategy = (path: string, config: object, handler = 'oauth2_introspection') => ({
  path,
  methods: ['GET'],
  accessStrategies: [{ handler, config }],
});

const RULES = [
  strategy('/acr', { acr_values: ['gold', 'silver'] }),
  strategy('/age', { max_age: 300 }),
  strategy('/both', { acr_values: ['gold'], max_age: 300, required_scope: ['pay'] }),
  strategy('/tolerant', { max_age: 300, leeway: '30s' }),
  strategy('/never', { max_age: 0 }),
];

const start = (t: Test, claims: object, clock: FakeClock = fakeClock()): Promise<TestGateway> =>
  startTestGateway(t, {
    clock,
    rules: apiRule('gate.example', RULES),
    tokens: { t: claims as Record<string, unknown> },
    settings: { realm: 'r' },
  });

const STEP_UP = 'Bearer realm="r", error="insufficient_user_authentication", error_description=';

t.test('RFC 9470', async (t) => {
  await prove(t, ['R9470-'], {
    'R9470-01': async (t) => {
      for (const acr of ['gold', 'silver']) {
        t.equal((await ask(await start(t, { acr }), '/acr', { token: 't' })).status, 200, acr);
      }
      const reply = await ask(await start(t, { acr: 'bronze' }), '/acr', { token: 't' });
      t.equal(reply.status, 401);
      t.equal(
        reply.headers['www-authenticate'],
        `${STEP_UP}"the user must log in with another method", acr_values="gold silver"`,
      );
    },

    'R9470-02': async (t) => {
      const clock = fakeClock();
      const gate = await start(t, { auth_time: NOW - 299 }, clock);
      const at = async (path: string) => (await ask(gate, path, { token: 't' })).status;
      t.equal(await at('/age'), 200);
      clock.advance(1_000);
      t.equal(await at('/age'), 200, 'to the second');
      clock.advance(1_000);
      const reply = await ask(gate, '/age', { token: 't' });
      t.equal(reply.status, 401, 'the cached answer is judged anew');
      t.equal(reply.headers['www-authenticate'], `${STEP_UP}"the user must log in again", max_age="300"`);
      t.equal(gate.endpoint.asked.length, 1);
      t.equal(await at('/tolerant'), 200);
      clock.advance(30_000);
      t.equal(await at('/tolerant'), 401);
      t.equal(await at('/never'), 401);
    },

    'R9470-03': async (t) => {
      const reply = await ask(await start(t, { scope: 'pay' }), '/both', { token: 't' });
      t.match(reply.headers['www-authenticate'], /, acr_values="gold", max_age="300"$/);
    },

    'R9470-04': async (t) => {
      const good = { acr: 'gold', auth_time: NOW, scope: 'pay' };
      for (const [claims, status] of [
        [good, 200],
        [{ ...good, acr: undefined }, 401],
        [{ ...good, auth_time: undefined }, 401],
        [{ ...good, acr: ['gold'] }, 401],
        [{ ...good, acr: 'gold silver' }, 401],
        [{ ...good, auth_time: String(NOW) }, 401],
        [{ ...good, auth_time: NOW + 1 }, 401],
        [{ scope: 'pay', ext: { acr: 'gold', auth_time: NOW } }, 200],
        [{ ...good, acr: 'x', ext: { acr: 'gold' } }, 401],
        [{ scope: 'pay', ext: 'gold' }, 401],
      ] as const) {
        const reply = await ask(await start(t, claims), '/both', { token: 't' });
        t.equal(reply.status, status, JSON.stringify(claims));
      }
    },

    'R9470-05': async (t) => {
      const weak = await ask(await start(t, { acr: 'x', auth_time: NOW }), '/both', { token: 't' });
      t.equal(weak.status, 401);
      const challenge = weak.headers['www-authenticate'] ?? '';
      t.equal(challenge.match(/error=/g)?.length, 1, 'one error');
      t.match(challenge, /insufficient_user_authentication.*, scope="pay", acr_values="gold"/);
      const strong = await ask(await start(t, { acr: 'gold', auth_time: NOW }), '/both', { token: 't' });
      t.equal(strong.status, 403);
      t.match(strong.headers['www-authenticate'], /error="insufficient_scope".*scope="pay"$/);
    },
  });
});

t.test('the jwt handler demands the same', async (t) => {
  const clock = fakeClock();
  const issuer = await startIssuer(clock.wall);
  t.teardown(() => issuer.close());
  const key = await issuer.makeKey('k1');
  const config = {
    jwks_urls: [issuer.url],
    allowed_algorithms: ['ES256'],
    acr_values: ['gold'],
    max_age: 300,
  };
  const rules = apiRule('gate.example', [strategy('/x', config, 'jwt')]);
  const gate = await startTestGateway(t, { clock, rules });
  const shown = async (claims: object) =>
    ask(gate, '/x', { token: await issuer.sign(key, 'k1', { ...claims }) });
  t.equal((await shown({ acr: 'gold', auth_time: NOW - 300 })).status, 200);
  for (const claims of [{}, { acr: 'gold', auth_time: NOW - 301 }, { acr: 'x', auth_time: NOW }]) {
    const reply = await shown(claims);
    t.equal(reply.status, 401);
    t.match(
      reply.headers['www-authenticate'],
      /insufficient_user_authentication.*acr_values="gold", max_age="300"/,
    );
  }
});
