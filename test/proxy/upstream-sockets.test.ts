import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import t from 'tap';
import { apiRule, type Scope, startTestGateway, type TestGatewayOptions } from '../gateway.js';
import { type Certificate, makeCertificate } from '../stack/certificate.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { sendRaw } from '../wire.js';
import { FORWARD_RULES, request } from './raw.js';

const START: TestGatewayOptions = { rules: FORWARD_RULES };

async function startTls(
  t: Scope,
  { cert, key }: Certificate,
): Promise<{ port: number; protocols: (string | false | null)[] }> {
  const protocols: (string | false | null)[] = [];
  const server = createTlsServer({ cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, (message, response) => {
    protocols.push((message.socket as TLSSocket).alpnProtocol);
    response.end('secure');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, protocols };
}

t.test('certificates of upstreams are verified', async (t) => {
  const right = await makeCertificate(['127.0.0.1']);
  const wrong = await makeCertificate(['other.example']);
  const statusOf = async (certificate: Certificate, tls: object): Promise<number | undefined> => {
    const { port } = await startTls(t, certificate);
    const upstreamUrl = `https://127.0.0.1:${port}`;
    const gate = await startTestGateway(t, { ...START, upstreamUrl, settings: { forward: { tls } } });
    return (await sendRaw(gate.port, request('GET /'))).answers[0]?.status;
  };
  const folder = t.testdir({});
  for (const [name, { ca }] of Object.entries({ right, wrong }))
    writeFileSync(join(folder, `${name}.pem`), ca);
  t.equal(await statusOf(right, {}), 502, 'an unknown authority');
  t.equal(await statusOf(wrong, { ca: join(folder, 'wrong.pem') }), 502, 'another name');
  t.equal(await statusOf(right, { ca: join(folder, 'wrong.pem') }), 502, 'another authority');
  t.equal(await statusOf(right, { ca: join(folder, 'right.pem') }), 200);
  t.equal(await statusOf(wrong, { insecureSkipVerify: true }), 200, 'unless the settings say so');
});

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
  const { port, protocols } = await startTls(t, certificate);
  const ca = join(t.testdir({ 'ca.pem': certificate.ca }), 'ca.pem');
  const gate = await startTestGateway(t, {
    ...START,
    upstreamUrl: `https://127.0.0.1:${port}`,
    settings: { forward: { tls: { ca } } },
  });
  t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.body.toString(), 'secure');
  t.same(protocols, ['http/1.1']);
});
