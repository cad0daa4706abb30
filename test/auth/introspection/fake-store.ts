import { once } from 'node:events';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Scope } from '../../gateway.js';
import type { Certificate } from '../../stack/certificate.js';

/** What a store sends for a command: bytes; a stream of them, which may have no end; or nothing. */
export type FakeReply = string | Buffer | Generator<Buffer> | undefined;

/** A server that looks like Redis, and answers what a test wants. */
export interface FakeStore {
  readonly url: string;
  /** What it answers instead of what a store without any data would; undefined for that. */
  answer: (command: readonly string[], socket: Socket) => FakeReply | typeof AS_USUAL;
  /** The commands it got, with their names in capitals. */
  readonly asked: readonly (readonly string[])[];
  /** The most bytes that it could send on one connection. */
  readonly most: number;
  /** Ends all connections. */
  disconnect(): void;
}

/** The answer of a store that has no data. */
export const AS_USUAL = Symbol('as usual');

/** A text as RESP has it. */
export const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;

function usual([name = '', ...words]: readonly string[]): string {
  switch (name) {
    case 'HELLO':
      return `%1\r\n${bulk('proto')}:3\r\n`;
    case 'PING':
      return '+PONG\r\n';
    case 'SUBSCRIBE':
      return `>3\r\n${bulk('subscribe')}${bulk(words[0] ?? '')}:1\r\n`;
    case 'GETRANGE':
      return bulk('');
    case 'ZRANGE':
      return '*0\r\n';
    case 'SCAN':
      return `*2\r\n${bulk('0')}*0\r\n`;
    case 'SET':
    case 'CLIENT':
    case 'SELECT':
      return '+OK\r\n';
    default:
      return ':1\r\n';
  }
}

/** Starts one that has no data, until a test says what it answers. */
export async function startFakeStore(t: Scope, tls?: Certificate): Promise<FakeStore> {
  const asked: string[][] = [];
  const sockets = new Set<Socket>();
  let most = 0;
  const store = {
    url: '',
    answer: (): typeof AS_USUAL => AS_USUAL,
    asked,
    get most() {
      return most;
    },
    disconnect() {
      for (const socket of sockets) socket.destroy();
    },
  } as FakeStore & { url: string };

  async function send(socket: Socket, parts: Iterable<Buffer>): Promise<void> {
    let sent = 0;
    for (const part of parts) {
      if (socket.destroyed) return;
      sent += part.length;
      most = Math.max(most, sent);
      // Each part by itself, so that the other side may end the connection before the next.
      if (socket.write(part)) await new Promise((resolve) => setImmediate(resolve));
      else await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {});
    }
  }

  function serve(socket: Socket): void {
    sockets.add(socket);
    let text = '';
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let read = commandIn(text); read !== undefined; read = commandIn(text)) {
        text = text.slice(read.length);
        asked.push(read.command);
        const given = store.answer(read.command, socket);
        const reply = given === AS_USUAL ? usual(read.command) : given;
        if (typeof reply === 'string' || Buffer.isBuffer(reply)) socket.write(reply);
        else if (reply !== undefined) void send(socket, reply);
      }
    });
  }

  const server: NetServer = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  store.url = `redis${tls === undefined ? '' : 's'}://127.0.0.1:${port}`;
  return store;
}

/** The first command in the bytes of a client; undefined if it is not complete. */
function commandIn(text: string): { readonly command: string[]; readonly length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  const command: string[] = [];
  let at = head[0].length;
  for (let i = 0; i < Number(head[1]); i++) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 24));
    if (size === null) return undefined;
    const from = at + size[0].length;
    at = from + Number(size[1]) + 2;
    if (at > text.length) return undefined;
    const word = text.slice(from, at - 2);
    command.push(i === 0 ? word.toUpperCase() : word);
  }
  return { command, length: at };
}
