import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { apiRule, rule, type Scope } from '../gateway.js';

/** Everything on one host: open to all below `/`, and with a scope below `/guarded`. */
export const FORWARD_RULES = apiRule('gate.example', [
  {
    path: '/.*',
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    accessStrategies: [{ handler: 'noop' }],
  },
  rule('/guarded/.*', ['GET', 'POST'], 'read'),
]);

/** An upstream that answers with whatever bytes a test wants. */
export interface RawUpstream {
  readonly url: string;
  /** Every request's head as it came, in order. */
  readonly heads: string[];
  /** Connections that are open now. */
  readonly sockets: Set<Socket>;
  /** How many connections there have been. */
  readonly connections: () => number;
}

/**
 * Starts one; it ends with the test.
 *
 * @param respond called once for each request's head; `rest` is what has come of its body with it
 */
export async function startRawUpstream(
  t: Scope,
  respond: (socket: Socket, head: string, rest: Buffer) => void,
): Promise<RawUpstream> {
  const heads: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    let pending: Buffer = Buffer.alloc(0);
    connections++;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      const end = pending.indexOf('\r\n\r\n');
      if (end === -1 || !/^[A-Z]+ \/\S* HTTP\/1\.1\r\n/.test(pending.toString('latin1', 0, 10_000))) {
        // A body that goes on is the business of whoever answers.
        if (pending.length > 100_000) pending = Buffer.alloc(0);
        return;
      }
      const head = pending.toString('latin1', 0, end + 4);
      const rest = pending.subarray(end + 4);
      pending = Buffer.alloc(0);
      heads.push(head);
      respond(socket, head, rest);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, heads, sockets, connections: () => connections };
}

/** What a connection brought until it was over. */
export interface Conversation {
  readonly raw: string;
  /** A reset tells the client that something is missing where nothing else does. */
  readonly end: 'fin' | 'reset';
}

/** Sends bytes on a connection of its own and reads until the other side ends it. */
export function converse(port: number, bytes: string | Buffer): Promise<Conversation> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    let end: Conversation['end'] = 'fin';
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => {
      end = 'reset';
    });
    socket.on('close', () => resolve({ raw: Buffer.concat(chunks).toString('latin1'), end }));
    socket.write(bytes);
  });
}

/** One request's bytes; every field on a line of its own. */
export function request(start: string, fields: readonly string[] = [], body = ''): string {
  return [`${start} HTTP/1.1`, 'Host: gate.example', ...fields, '', body].join('\r\n');
}
