import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { Test } from 'tap';
import { ask } from '../../ask.js';
import { startTestGateway, type TestGateway } from '../../gateway.js';
import { until } from '../../until.js';

/** A gateway with these settings of `introspection`. */
export const start = (t: Test, introspection: object): Promise<TestGateway> =>
  startTestGateway(t, { settings: { introspection } });

/** So many distinct bad tokens (fault 23): calls are bounded, and good tokens still served. */
export async function floodWithBadTokens(t: Test, count: number): Promise<void> {
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
    while (next < count) {
      const { status } = await ask(gate, '/x', { token: `bad-${next++}` });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  const good = async (): Promise<void> => {
    while (next < count) {
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
}

/** So many requests with one new token (fault 24) make one introspection; 21 clients more leave, and cancel nobody else. */
export async function crowdWithOneToken(t: Test, count: number): Promise<void> {
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
  const others = Array.from({ length: count }, () => ask(gate, '/x', { token: 'good-read' }));
  const more = leaving.slice(1).map(({ signal }) => ask(gate, '/x', { token: 'good-read', signal }));
  const gone = Promise.allSettled([first, ...more]);
  await until(() => waiting() >= count + 21);
  for (const client of leaving) client.abort();
  t.ok((await gone).every(({ status }) => status === 'rejected'));
  await until(() => waiting() <= count);
  open();
  const statuses = (await Promise.all(others)).map(({ status }) => status);
  t.same([...new Set(statuses)], [200]);
  t.equal(gate.endpoint.asked.length, 1);
  t.equal(gate.upstream.received.length, count, 'and nothing was forwarded for those who left');
  const audited = gate.log.filter(({ audit }) => audit !== undefined);
  t.equal(audited.length, count + 21, 'one line each');
  t.equal(audited.filter(({ cause }) => cause === 'client_closed').length, 21);
}

/** Requests that have arrived at the gateway and whose connection is still there, as Node itself tells. */
export function watchArrivals(t: Test, gate: TestGateway): () => number {
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
