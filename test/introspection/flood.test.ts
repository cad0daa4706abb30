import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { ask } from '../ask.js';
import { startTestGateway, type TestGateway } from '../gateway.js';

const start = (t: Test, introspection: object): Promise<TestGateway> =>
  startTestGateway(t, { settings: { introspection } });

t.test('23: 2,000 distinct bad tokens: calls bounded, good tokens still served', async (t) => {
  const gate = await start(t, { timeout: '5s', concurrency: 8, queue: 32 });
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  let running = 0;
  let most = 0;
  gate.endpoint.fault = (_message, response) => {
    most = Math.max(most, ++running);
    setImmediate(() => {
      running--;
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"active":false}');
    });
  };
  const statuses = new Map<number, number>();
  let next = 0;
  const flood = async (): Promise<void> => {
    while (next < 2_000) {
      const { status } = await ask(gate, '/x', { token: `bad-${next++}` });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  const good = async (): Promise<void> => {
    while (next < 2_000) {
      const { status } = await ask(gate, '/x', { token: 'good-read' });
      if (status !== 200) t.fail(`a cached good token got ${status}`);
    }
  };
  await Promise.all([...Array.from({ length: 64 }, flood), good()]);
  t.same(
    [...statuses.keys()].filter((status) => ![401, 503].includes(status)),
    [],
    'refused one way or the other',
  );
  t.ok((statuses.get(401) ?? 0) > 0);
  t.ok(most <= 8, `at most ${most} introspections at once`);
  gate.endpoint.fault = undefined;
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  t.equal(gate.endpoint.asked.filter((token) => token === 'good-read').length, 1, 'it never left the cache');
});

t.test(
  '24: 1,000 requests with one new token make one introspection; who leaves cancels nobody else',
  async (t) => {
    const gate = await start(t, { timeout: '30s' });
    const waiting = watchArrivals(t, gate);
    let open = (): void => {};
    gate.endpoint.gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const leaving = Array.from({ length: 21 }, () => new AbortController());
    // The very first request leaves: the one whose introspection the others share.
    const first = ask(gate, '/x', { token: 'good-read', signal: (leaving[0] as AbortController).signal });
    await until(() => gate.endpoint.asked.length === 1);
    const others = Array.from({ length: 1000 }, () => ask(gate, '/x', { token: 'good-read' }));
    const more = leaving.slice(1).map(({ signal }) => ask(gate, '/x', { token: 'good-read', signal }));
    const gone = Promise.allSettled([first, ...more]);
    await until(() => waiting() >= 1021);
    for (const client of leaving) client.abort();
    t.ok((await gone).every(({ status }) => status === 'rejected'));
    await until(() => waiting() <= 1000);
    open();
    const statuses = (await Promise.all(others)).map(({ status }) => status);
    t.same([...new Set(statuses)], [200]);
    t.equal(gate.endpoint.asked.length, 1);
    t.equal(gate.upstream.received.length, 1000, 'and nothing was forwarded for those who left');
    const audited = gate.log.filter(({ audit }) => audit !== undefined);
    t.equal(audited.length, 1021, 'one line each');
    t.equal(audited.filter(({ cause }) => cause === 'client_closed').length, 21);
  },
);

t.test('24: a failure is shared by those who wait, and not by those who come after', async (t) => {
  const gate = await start(t, { timeout: '30s' });
  const waiting = watchArrivals(t, gate);
  let open = (): void => {};
  gate.endpoint.gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  gate.endpoint.fault = (_message, response) => void response.writeHead(500).end();
  const asking = Array.from({ length: 50 }, () => ask(gate, '/x', { token: 'good-read' }));
  await until(() => waiting() >= 50 && gate.endpoint.asked.length === 1);
  open();
  for (const reply of await Promise.all(asking)) t.equal(reply.status, 503);
  t.equal(gate.endpoint.asked.length, 1);
  gate.endpoint.fault = undefined;
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
});

/** Requests that have arrived at the gateway and whose connection is still there, as Node itself tells. */
function watchArrivals(t: Test, gate: TestGateway): () => number {
  const sockets = new Set<Socket>();
  const onRequest = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    if (socket.localPort !== gate.port) return;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  subscribe('http.server.request.start', onRequest);
  t.teardown(() => unsubscribe('http.server.request.start', onRequest));
  return () => sockets.size;
}

async function until(condition: () => boolean): Promise<void> {
  const late = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > late) throw new Error('it never came to that');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
