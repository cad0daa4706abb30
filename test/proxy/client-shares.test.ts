import t, { type Test } from 'tap';
import type { TestGateway } from '../gateway.js';
import { until } from '../until.js';
import { request } from './raw.js';
import { metric, startHolding, talk } from './shares-setup.js';

t.jobs = 4;

/** Where the two clients of these tests are. */
const GREEDY = '127.0.0.2';
const OTHER = '127.0.0.3';

/** A gateway with shares, as {@link startHolding} makes it. */
const start = (t: Test, clientShare: Record<string, number>, settings: Record<string, unknown> = {}) =>
  startHolding(t, { ...settings, server: { clientShare } });

/** The status of one request. */
async function statusOf(t: Test, gate: TestGateway, from: string, ...asked: string[]): Promise<number> {
  const { socket, answers } = await talk(t, gate, request('GET /', asked), from);
  const status = await until(() => answers()[0]?.status);
  socket.destroy();
  return status;
}

async function refused(gate: TestGateway, share: string): Promise<number> {
  return await metric(gate, `scopegate_client_share_refused_total{share="${share}"}`);
}

t.test('a client with its share of connections gets no more, and others do', async (t) => {
  const { gate } = await start(t, { connections: 3 });
  const open = await Promise.all([1, 2, 3].map(() => talk(t, gate, request('GET /'), GREEDY)));
  for (const { answers } of open) await until(() => answers().length === 1);
  const refusedOne = await talk(t, gate, request('GET /'), GREEDY);
  await until(() => refusedOne.socket.closed);
  t.equal(refusedOne.heard(), '');
  t.equal(await refused(gate, 'connections'), 1);
  for (let i = 0; i < 3; i++) t.equal(await statusOf(t, gate, OTHER), 200);
  open[0]?.socket.destroy();
  await until(async () => {
    const again = await talk(t, gate, request('GET /'), GREEDY);
    await until(() => again.answers().length === 1 || again.socket.closed);
    return again.answers()[0]?.status === 200;
  });
  t.pass('and it gets one when one of its own is closed');
});

t.test('a client with its share of requests in flight is told 429, and others are served', async (t) => {
  const { gate, held } = await start(t, { inFlight: 2 });
  const waiting = await Promise.all([1, 2].map(() => talk(t, gate, request('GET /held'), GREEDY)));
  await until(() => held.length === 2);
  const { heard, answers } = await talk(t, gate, request('GET /'), GREEDY);
  await until(() => answers().length === 1);
  t.match(heard(), /^HTTP\/1\.1 429 Too Many Requests\r\n[\s\S]*retry-after: 1\r\n/i);
  t.match(heard(), /"reason":"too many requests of this client at once"/);
  t.equal(await statusOf(t, gate, OTHER), 200);
  t.match(
    gate.log.find(({ error }) => error === 'too_many_requests'),
    { status: 429, decision: 'deny' },
  );
  t.equal(gate.upstream.received.length, 3, 'what was refused has not gone upstream');
  t.equal(await refused(gate, 'inFlight'), 1);
  held[0]?.end('first');
  await until(() => waiting.some(({ answers }) => answers()[0]?.status === 200));
  t.equal(await statusOf(t, gate, GREEDY), 200, 'and the client is served when a request of its own is over');
});

t.test('a body that has to wait for its client’s share is refused when it is whole', async (t) => {
  const { gate, held } = await start(t, { inFlight: 1 });
  const slow = await talk(t, gate, request('POST /slow', ['Content-Length: 5'], 'h'), GREEDY);
  await until(
    async () =>
      gate.upstream.received.length === 0 && (await metric(gate, 'scopegate_request_bodies_bytes')) > 0,
  );
  await talk(t, gate, request('GET /held'), GREEDY);
  await until(() => held.length === 1);
  slow.socket.write('ello');
  t.equal(await until(() => slow.answers()[0]?.status), 429);
  t.match(
    gate.log.find(({ error }) => error === 'too_many_requests'),
    { status: 429, cause: 'client_share' },
  );
  held[0]?.end('held');
  t.equal(gate.upstream.received.length, 1);
});

t.test('a client with its share of event streams gets no more, and still gets short answers', async (t) => {
  const { gate } = await start(t, { longExchanges: 2 });
  const streams = [];
  for (let i = 0; i < 2; i++) {
    const stream = await talk(t, gate, request('GET /stream'), GREEDY);
    await until(() => stream.heard().includes('data: 1'));
    streams.push(stream);
  }
  const more = await talk(t, gate, request('GET /stream'), GREEDY);
  t.equal(await until(() => more.answers()[0]?.status), 429);
  t.match(await until(() => gate.log.find(({ error }) => error === 'too_many_requests')), {
    status: 429,
    cause: 'client_share',
  });
  t.equal(await statusOf(t, gate, GREEDY), 200);
  const other = await talk(t, gate, request('GET /stream'), OTHER);
  await until(() => other.heard().includes('data: 1'));
  streams[0]?.socket.destroy();
  await until(() => gate.log.some(({ cause }) => cause === 'client_closed'));
  const again = await talk(t, gate, request('GET /stream'), GREEDY);
  await until(() => again.heard().includes('data: 1'));
});

t.test('behind a trusted proxy each of its clients has a share of its own', async (t) => {
  const { gate, held } = await start(t, { inFlight: 1, connections: 1 }, { trustedProxies: [GREEDY] });
  const from = (address: string) => `X-Forwarded-For: ${address}`;
  await talk(t, gate, request('GET /held', [from('192.0.2.1')]), GREEDY);
  await until(() => held.length === 1);
  t.equal(await statusOf(t, gate, GREEDY, from('192.0.2.1')), 429);
  t.equal(
    await statusOf(t, gate, GREEDY, from('198.51.100.7, 192.0.2.1')),
    429,
    'whatever it says of itself',
  );
  t.equal(await statusOf(t, gate, GREEDY, from('192.0.2.2')), 200);
  const second = request('GET /held', [from('2001:db8::1')]);
  await talk(t, gate, second, GREEDY);
  await until(() => held.length === 2);
  t.equal(await statusOf(t, gate, GREEDY, from('2001:db8::2')), 429, 'a network of 64 bits is one client');
  t.equal(await statusOf(t, gate, GREEDY, from('2001:db8:0:1::1')), 200);
  t.equal(
    await statusOf(t, gate, OTHER, from('192.0.2.9')),
    200,
    'who is not trusted speaks for itself alone',
  );
  for (const response of held) response.end();
});
