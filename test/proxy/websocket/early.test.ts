import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import t from 'tap';
import { startChild } from '../../child.js';
import { startIntrospection } from '../../introspection.js';
import { until } from '../../until.js';
import { open } from '../../wire.js';
import { FORWARD_RULES, request, startRawUpstream } from '../raw.js';
import { acceptFor, frame } from './frame.js';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const CLIENTS = 150;
/** One-byte messages: 65 kB of them for each client. */
const MESSAGES = Buffer.concat(Array.from({ length: 9_300 }, () => frame('a', { masked: true })));
/** What may come on top of the bytes themselves, which the gateway holds at the most. */
const MORE = 40 * 1_048_576;

/** The most memory that a process has had so far, in bytes. */
function peak(pid: number | undefined): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) * 1_024;
}

t.test('messages that come before the upstream has switched are bytes that wait, and no more', async (t) => {
  const upstreams: Socket[] = [];
  let received = 0;
  const upstream = await startRawUpstream(t, (socket) => {
    upstreams.push(socket);
    socket.on('data', (bytes) => {
      received += bytes.length;
    });
  });
  const endpoint = await startIntrospection({ 'good-read': { scope: 'read' } });
  t.teardown(() => endpoint.close());
  const child = await startChild(
    t,
    {
      services: { default: upstream.url },
      introspection: { url: endpoint.url },
      matching: { overlap: 'specific' },
    },
    FORWARD_RULES,
  );
  const handshake = request('GET /guarded/a', [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
    'Authorization: Bearer good-read',
  ]);
  const begin = peak(child.process.pid);
  for (let i = 0; i < CLIENTS; i++) {
    const socket = await open(child.port);
    t.teardown(() => socket.destroy());
    socket.on('data', () => {});
    socket.write(handshake);
    await until(() => upstreams.length === i + 1);
    await new Promise((resolve) => socket.write(MESSAGES, resolve));
  }
  // Whatever it does about them, it has done by then.
  for (let i = 0; i < 5; i++) t.equal((await fetch(`${child.adminUrl}/health/alive`)).status, 200);
  const grown = peak(child.process.pid) - begin;
  t.ok(
    grown < CLIENTS * MESSAGES.length + MORE,
    `${grown >> 20} MiB for ${(CLIENTS * MESSAGES.length) >> 20} MiB`,
  );
  t.equal(received, 0);

  for (const socket of upstreams) {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptFor(KEY)}\r\n\r\n`,
    );
  }
  await until(() => received === CLIENTS * MESSAGES.length);
  t.pass('all of it arrives');
  const lines = child.output().trimEnd().split('\n');
  t.ok(
    lines.every((line) => line.startsWith('{') && JSON.parse(line) !== null),
    'and nothing but log lines was written',
  );
});
