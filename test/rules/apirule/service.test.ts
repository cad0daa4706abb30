import t from 'tap';
import { ask } from '../../ask.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { startUpstream } from '../../upstream.js';

const OPEN = [{ handler: 'no_auth' }];

t.test('each rule goes to its own service, in its own namespace', async (t) => {
  const [a, b, c] = [await startUpstream(), await startUpstream(), await startUpstream()];
  t.teardown(() => Promise.all([a.close(), b.close(), c.close()]));
  const rules = apiRule('gate.example', [
    { path: '/shared', methods: ['GET'], accessStrategies: OPEN },
    { path: '/own', methods: ['GET'], accessStrategies: OPEN, service: { name: 'own', port: 81 } },
    {
      path: '/far',
      methods: ['GET'],
      accessStrategies: OPEN,
      service: { name: 'own', namespace: 'elsewhere', port: 81 },
    },
  ]);
  const services = { upstream: a.url, own: b.url, 'own.elsewhere': c.url };
  const gate = await startTestGateway(t, { rules, settings: { services } });
  for (const path of ['/shared', '/own', '/far']) t.equal((await ask(gate, path)).status, 200);
  t.same(
    [a, b, c].map(({ received }) => received.map(({ url }) => url)),
    [['/shared'], ['/own'], ['/far']],
  );
});

t.test('the rule’s timeout counts before the APIRule’s, and that before the setting', async (t) => {
  const rules = JSON.parse(
    apiRule('gate.example', [
      { path: '/rule', methods: ['GET'], accessStrategies: OPEN, timeout: 1 },
      { path: '/spec', methods: ['GET'], accessStrategies: OPEN },
    ]),
  );
  rules.spec.timeout = 2;
  const other = JSON.parse(
    apiRule('other.example', [{ path: '/', methods: ['GET'], accessStrategies: OPEN }], 'o'),
  );
  const settings = { forward: { timeout: '3s' } };
  // Never answers; the headers' deadline is the only thing that ends it.
  const gate = await startTestGateway(t, {
    rules: `${JSON.stringify(rules)}\n---\n${JSON.stringify(other)}`,
    settings,
    respond: () => {},
  });
  const timeouts = gate.table.rules.map(({ path, timeout }) => [path, timeout]);
  t.same(timeouts, [
    ['/rule', 1_000],
    ['/spec', 2_000],
    ['/', 3_000],
  ]);
  t.equal((await ask(gate, '/rule')).status, 504);
});

t.test('180 seconds where nobody says', async (t) => {
  const { settings } = await startTestGateway(t);
  t.equal(settings.forward.timeout, 180_000);
});
