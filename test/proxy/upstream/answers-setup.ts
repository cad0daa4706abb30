import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { ResponseReader, UpstreamConnection, Waiting } from '../../../src/proxy/upstream/client.js';
import { Pool, READING } from '../../../src/proxy/upstream/pool.js';
import type { UpstreamRequest } from '../../../src/proxy/upstream/request-head.js';
import type { ResponseHead } from '../../../src/proxy/upstream/response-head.js';
import { serverConnector } from '../../../src/tls/connector.js';
import type { Scope } from '../../gateway.js';
import { until } from '../../until.js';

export const GET: UpstreamRequest = {
  method: 'GET',
  path: '/',
  fields: ['host', 'up.example'],
  body: undefined,
  length: undefined,
  timeout: 0,
};

/** What a reader was told. */
export class Told implements ResponseReader {
  head: ResponseHead | undefined;
  body = '';
  trailers: readonly string[] = [];
  error: (Error & { code?: string }) | undefined;
  connection: UpstreamConnection | undefined;
  waiting: Waiting | undefined;
  ended = false;
  /** Whether it was told that the exchange lasts. */
  lasts = false;
  /** Whether it asks for a pause at each piece. */
  pauses = false;

  get over(): boolean {
    return this.ended || this.error !== undefined;
  }
  onWait(waiting: Waiting): void {
    this.waiting = waiting;
  }
  onStart(connection: UpstreamConnection): void {
    this.connection = connection;
  }
  onHead(head: ResponseHead): void {
    this.head = head;
  }
  onEarlyHints(): void {}
  mayLast(): boolean {
    return true;
  }
  onLong(): void {
    this.lasts = true;
  }
  onData(piece: Buffer): boolean {
    this.body += piece.toString('latin1');
    return !this.pauses;
  }
  onEnd(trailers: readonly string[]): void {
    if (this.over) throw new Error('told twice');
    this.ended = true;
    this.trailers = trailers;
  }
  onError(error: Error): void {
    if (this.over) throw new Error('told twice');
    this.error = error;
  }
}

/** An upstream that says what it is told to, connection by connection. */
export async function upstream(t: Scope, serve: (socket: Socket, serial: number) => void): Promise<string> {
  const sockets = new Set<Socket>();
  let serial = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    serve(socket, serial++);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function poolOf(
  t: Scope,
  origin: string,
  options: { connections?: number; idleTimeout?: number } = {},
): Pool {
  const { connections = 4, idleTimeout = 0 } = options;
  const pool = new Pool({
    origin,
    connections,
    idleTimeout,
    maxHeadBytes: 16_384,
    longExchanges: 8,
    queueTimeout: 2_000,
    connect: serverConnector(() => ({}), 5_000, true, READING),
  });
  t.teardown(() => pool.close());
  return pool;
}

export async function told(pool: Pool, outgoing: Partial<UpstreamRequest> = {}): Promise<Told> {
  const reader = new Told();
  pool.dispatch({ ...GET, ...outgoing }, reader);
  await until(() => reader.over);
  return reader;
}

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
