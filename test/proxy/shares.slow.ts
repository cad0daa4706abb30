import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Agent, request as ask } from 'undici';
import { type Child, startChild } from '../child.js';
import { apiRule, rule, VECTOR_TOKENS } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { startUpstream } from '../upstream.js';
import { request } from './raw.js';

/** What a bystander may wait longer than without the attack, in milliseconds, 99 of 100 times. */
const LONGER = 250;
/** How long an attack lasts before the bystander asks, and how often it asks then. */
const SETTLE = 1_500;
const QUESTIONS = 250;
const EVERY = 20;

const RULES = apiRule('gate.example', [
  { path: '/open/.*', methods: ['GET', 'POST'], accessStrategies: [{ handler: 'noop' }] },
  rule('/guarded/.*', ['GET', 'POST'], 'read'),
]);

/** A gateway with the settings that it has by default, in a process of its own. */
async function start(t: Test): Promise<Child> {
  const endpoint = await startIntrospection(VECTOR_TOKENS);
  const upstream = await startUpstream((message, response) => {
    if (message.url?.includes('/stream')) {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
    } else if (message.url?.includes('/slow')) setTimeout(() => response.end('late'), 3_000);
    else response.end('done');
  });
  const settings = {
    services: { default: upstream.url },
    introspection: { url: endpoint.url },
    log: { audit: false },
    server: { maxEventLoopDelay: '200ms' },
  };
  const child = await startChild(t, settings, RULES);
  t.teardown(() => {
    upstream.server.closeAllConnections();
    return Promise.all([endpoint.close(), upstream.close()]);
  });
  return child;
}

/** Asks at a steady pace. @returns every status, and the 99th of 100 waits in milliseconds */
async function bystander(gate: Child): Promise<{ statuses: Set<number>; p99: number; longest: number }> {
  const agent = new Agent({ pipelining: 1, connections: 32 });
  const statuses = new Set<number>();
  const waits: number[] = [];
  const pending: Promise<void>[] = [];
  for (let i = 0; i < QUESTIONS; i++) {
    const began = performance.now();
    pending.push(
      ask(`${gate.url}/guarded/x`, {
        dispatcher: agent,
        headers: { host: 'gate.example', authorization: 'Bearer good-read' },
      }).then(
        async ({ statusCode, body }) => {
          await body.dump();
          statuses.add(statusCode);
          waits.push(performance.now() - began);
        },
        () => void statuses.add(0),
      ),
    );
    await pause(EVERY);
  }
  await Promise.all(pending);
  await agent.close();
  waits.sort((a, b) => a - b);
  return {
    statuses,
    p99: waits[Math.floor(waits.length * 0.99)] ?? Number.NaN,
    longest: waits.at(-1) ?? Number.NaN,
  };
}

/** Opens so many connections that send the same bytes, and go on byte by byte. */
async function dawdle(gate: Child, count: number, first: string, every: number): Promise<() => void> {
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(gate.port, '127.0.0.1');
    socket.on('error', () => {}).resume();
    socket.write(first);
    sockets.push(socket);
    if (i % 100 === 99) await once(socket, 'connect');
  }
  const timer = setInterval(() => {
    for (const socket of sockets) if (socket.writable) socket.write('x'.repeat(Math.ceil(every / 2)));
  }, every);
  return () => {
    clearInterval(timer);
    for (const socket of sockets) socket.destroy();
  };
}

const SMALL = request('POST /open/x', ['Content-Length: 60000'], 'a');
const LARGE = request('POST /open/x', ['Content-Length: 10000000'], 'a'.repeat(80_000));

const ATTACKS: Readonly<Record<string, (gate: Child) => Promise<() => void>>> = {
  '300 slow bodies without a token': (gate) => dawdle(gate, 300, SMALL, 1_000),
  '300 slow bodies that are larger than the buffer': (gate) => dawdle(gate, 300, LARGE, 1_000),
  '300 event streams of one token': (gate) =>
    dawdle(gate, 300, request('GET /guarded/stream', ['Authorization: Bearer good-read']), 3_600_000),
  '5,000 pipelined requests': (gate) => dawdle(gate, 1, request('GET /open/slow').repeat(5_000), 3_600_000),
  '5,000 pipelined requests on each of 20 connections': (gate) =>
    dawdle(gate, 20, request('GET /open/slow').repeat(5_000), 3_600_000),
  '4,200 slow small bodies': (gate) => dawdle(gate, 4_200, SMALL, 1_000),
};

for (const [name, attack] of Object.entries(ATTACKS)) {
  t.test(`nobody else waits for ${name}`, { timeout: 120_000 }, async (t) => {
    const gate = await start(t);
    await bystander(gate);
    const before = await bystander(gate);
    const end = await attack(gate);
    t.teardown(end);
    await pause(SETTLE);
    const during = await bystander(gate);
    t.comment(
      `${name}: p99 ${before.p99.toFixed(1)} ms before, ${during.p99.toFixed(1)} ms during, longest ${during.longest.toFixed(1)} ms`,
    );
    t.same([...during.statuses], [200], 'every request of the bystander is answered');
    t.ok(during.p99 < before.p99 + LONGER, 'about as soon as before');
  });
}
