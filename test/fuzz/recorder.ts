import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Reading, readRequests, type StrictRequest, values } from './strict.js';

/** An upstream on raw sockets, which reads by the letter of the RFC and keeps nothing but what it must tell of. */
export interface Recorder {
  readonly url: string;
  readonly authority: string;
  readonly sockets: Set<Socket>;
  close(): Promise<void>;
}

/** What a recorder tells of. */
export interface RecorderEvents {
  /** A request is whole, or its connection has ended before it was. */
  request(request: StrictRequest): void;
  /** Bytes that are no HTTP. */
  broken(bytes: Buffer): void;
  /** Whether to answer before the body is whole. */
  early(request: StrictRequest): boolean;
}

/** Starts one; it answers 200 and names the token it saw in `x-answer`, so that answers can be traced as well. */
export async function startRecorder(events: RecorderEvents): Promise<Recorder> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    let pending: Buffer = Buffer.alloc(0);
    let early = false;
    let dead = false;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      if (dead) return;
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      const reading = readRequests(pending, false);
      for (const request of reading.requests) {
        events.request(request);
        if (!early) answer(socket, request);
        early = false;
      }
      pending = pending.subarray(reading.end);
      if (reading.rest === 'broken') {
        dead = true;
        events.broken(pending);
        socket.destroy();
      } else if (reading.partial !== undefined && !early && events.early(reading.partial)) {
        early = true;
        answer(socket, reading.partial);
      }
    });
    socket.on('close', () => {
      sockets.delete(socket);
      if (!dead && pending.length > 0) last(readRequests(pending, false), events);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    authority: `127.0.0.1:${port}`,
    sockets,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What was still on its way when the connection ended. */
function last({ partial }: Reading, events: RecorderEvents): void {
  if (partial !== undefined) events.request(partial);
}

function answer(socket: Socket, { method, fields }: StrictRequest): void {
  const body = method === 'HEAD' ? '' : 'ok';
  const token = values(fields, 'authorization').join();
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-answer: ${token}\r\n\r\n${body}`);
}
