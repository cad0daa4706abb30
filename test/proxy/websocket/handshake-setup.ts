import type { Socket } from 'node:net';
import { type Scope, startTestGateway, type TestGateway, type TestGatewayOptions } from '../../gateway.js';
import { open } from '../../wire.js';
import { FORWARD_RULES, type RawUpstream, request, startRawUpstream } from '../raw.js';
import { acceptFor } from './frame.js';

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${KEY}`,
];
export const TOKEN = 'Authorization: Bearer good-read';

/** The head of a 101 as a WebSocket server answers, with further fields. */
export const switching = (...more: string[]): string =>
  [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptFor(KEY)}`,
    ...more,
    '',
    '',
  ].join('\r\n');

/** A gateway before an upstream that answers every handshake with the same bytes, or as it is told. */
export async function before(
  t: Scope,
  answer: string | ((socket: Socket, head: string) => void),
  more: TestGatewayOptions = {},
): Promise<{ gate: TestGateway; upstream: RawUpstream }> {
  const upstream = await startRawUpstream(t, (socket, head) => {
    if (typeof answer === 'string') socket.write(answer, 'latin1');
    else answer(socket, head);
  });
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: upstream.url, ...more });
  return { gate, upstream };
}

export const handshake = (path = '/guarded/a', ...fields: string[]): string =>
  request(`GET ${path}`, [...HANDSHAKE, TOKEN, ...fields]);

/** Sends a handshake and reads what comes of it until something holds. */
export async function shake(
  t: Scope,
  port: number,
  bytes: string | Buffer,
): Promise<{ socket: Socket; got: () => Buffer; closed: () => boolean }> {
  const socket = await open(port);
  t.teardown(() => socket.destroy());
  const pieces: Buffer[] = [];
  let closed = false;
  socket.on('data', (piece) => pieces.push(piece));
  socket.on('close', () => {
    closed = true;
  });
  socket.write(bytes, 'latin1');
  return { socket, got: () => Buffer.concat(pieces), closed: () => closed };
}

/** The head of what came, and what stands behind it. */
export function parts(got: Buffer): { head: string; rest: Buffer } {
  const end = got.indexOf('\r\n\r\n');
  return { head: got.toString('latin1', 0, end), rest: got.subarray(end + 4) };
}

export const audits = ({ log }: TestGateway) => log.filter((line) => line.audit !== undefined);
