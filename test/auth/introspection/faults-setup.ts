import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Test } from 'tap';
import t from 'tap';
import type { Reply } from '../../ask.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from '../../gateway.js';
import { until } from '../../until.js';

export type Answer = (message: IncomingMessage, response: ServerResponse) => void;

/** A gateway on a clock of its own. */
export async function start(t: Test, introspection: object = {}, options: TestGatewayOptions = {}) {
  // A little ahead: the server dates its tokens by its own clock, and a busy machine may take a second to ask for one.
  const clock = fakeClock(Math.floor(Date.now() / 1000) + 10);
  const gate = await startTestGateway(t, {
    clock,
    ...options,
    settings: { introspection: { timeout: '5s', connectTimeout: '4s', ...introspection } },
  });
  return { gate, clock };
}

/** What holds in all trouble with the authorization server. */
export function refused(t: Test, gate: TestGateway, reply: Reply, what: string): void {
  t.equal(reply.status, 503, `${what}: 503`);
  t.match(reply.headers['retry-after'], /^[1-9][0-9]*$/, `${what}: Retry-After`);
  t.equal(reply.headers['www-authenticate'], undefined, `${what}: the token is not blamed`);
  t.equal(reply.headers['cache-control'], 'no-store');
  t.equal(reply.reason, 'the authorization server gave no usable answer');
  t.equal(gate.upstream.received.length, 0, `${what}: nothing was forwarded`);
}

export const json: Readonly<Record<string, string>> = { 'content-type': 'application/json' };
export const body =
  (text: string | Buffer, headers = json, status = 200): Answer =>
  (_message, response) =>
    void response.writeHead(status, headers).end(text);

/** For what waits until the gateway has lost its patience; all else is right however slow the machine is. */
export const HASTY = { timeout: '400ms', connectTimeout: '200ms' };

/** One gateway for all faults that need no settings of their own: starting one takes longer than a fault. */
let common: ReturnType<typeof start> | undefined;
export async function shared(): ReturnType<typeof start> {
  common ??= start(t);
  const { gate, clock } = await common;
  // Whatever the last fault left in caches and breakers has ended.
  clock.advance(300_000);
  for (const list of [gate.log, gate.endpoint.asked, gate.endpoint.requests, gate.upstream.received]) {
    list.length = 0;
  }
  return { gate, clock };
}

/** One fault of the endpoint's own: refused, not cached, and the next good answer recovers. */
export async function survives(
  t: Test,
  what: string,
  fault: Answer,
  introspection: object = {},
): Promise<TestGateway> {
  const own = Object.keys(introspection).length > 0;
  const { gate, clock } = await (own ? start(t, introspection) : shared());
  gate.endpoint.fault = fault;
  refused(t, gate, await ask(gate, '/x', { token: 'good-read' }), what);
  const before = gate.endpoint.asked.length;
  gate.endpoint.fault = undefined;
  const recovers = async (): Promise<boolean> => {
    clock.advance(300_000);
    return (await ask(gate, '/x', { token: 'good-read' })).status === 200;
  };
  if (introspection === HASTY) await until(recovers);
  else t.ok(await recovers(), `${what}: the next good answer recovers`);
  t.ok(gate.endpoint.asked.length > before, 'the failure was not cached');
  return gate;
}

export async function listening(t: Test, server: Server, host = '127.0.0.1'): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, host);
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}
