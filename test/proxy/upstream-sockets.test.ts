import { join } from 'node:path';
import t from 'tap';
import { apiRule, startTestGateway, type TestGatewayOptions } from '../gateway.js';
import { makeCertificate } from '../stack/certificate.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { sendRaw } from '../wire.js';
import { startTlsUpstream } from './front.js';
import { FORWARD_RULES, request } from './raw.js';

const START: TestGatewayOptions = { rules: FORWARD_RULES };

t.test('each rule’s requests go to its own upstream, Host and socket alike', async (t) => {
  const [one, two] = [await startUpstream(), await startUpstream()];
  t.teardown(() => Promise.all([one.close(), two.close()]));
  const to = (path: string, name: string): object => ({
    path,
    methods: ['GET'],
    accessStrategies: [{ handler: 'noop' }],
    service: { name, port: 80 },
  });
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [to('/one', 'one'), to('/two', 'two')]),
    settings: { services: { one: one.url, two: two.url } },
  });
  for (const path of ['/one', '/two', '/two', '/one']) await sendRaw(gate.port, request(`GET ${path}`));
  for (const [path, { received, url }] of Object.entries({ '/one': one, '/two': two })) {
    t.same(
      received.map((entry) => [entry.url, `http://${entry.headers.host}`]),
      Array(2).fill([path, url]),
    );
  }
});

t.test('no connection to an upstream outlives the gateway', async (t) => {
  const gate = await startTestGateway(t, START);
  await sendRaw(gate.port, request('GET /'));
  t.equal(gate.upstream.sockets.size, 1);
  await gate.gateway.close();
  await until(() => gate.upstream.sockets.size === 0);
});

t.test('an upstream that offers HTTP/2 is spoken to in HTTP/1.1', async (t) => {
  const certificate = await makeCertificate(['127.0.0.1']);
  const { url, protocols } = await startTlsUpstream(t, certificate);
  const ca = join(t.testdir({ 'ca.pem': certificate.ca }), 'ca.pem');
  const gate = await startTestGateway(t, {
    ...START,
    upstreamUrl: url,
    settings: { forward: { tls: { ca } } },
  });
  t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.body.toString(), 'secure');
  t.same(protocols, ['http/1.1']);
});
