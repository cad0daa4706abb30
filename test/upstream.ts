import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** One request as an upstream received it. */
export interface Received {
  readonly message: IncomingMessage;
  readonly method: string;
  readonly url: string;
  /** Lower-case names. */
  readonly headers: IncomingMessage['headers'];
  readonly rawHeaders: readonly string[];
  /** The body so far. */
  body: Buffer;
  /** Whether the request arrived whole. */
  complete: boolean;
}

/** An upstream that remembers what it got. */
export interface Upstream {
  readonly url: string;
  readonly port: number;
  readonly server: Server;
  readonly received: Received[];
  /** Connections that are open now. */
  readonly sockets: Set<Socket>;
  close(): Promise<void>;
}

/**
 * Starts one on a free loopback port.
 *
 * @param respond answers a request whose body has been read; default: 200 with a small JSON text
 */
export async function startUpstream(respond: RequestListener = greet): Promise<Upstream> {
  const received: Received[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ maxHeaderSize: 65_536 }, (message, response) => {
    const entry: Received = {
      message,
      method: message.method ?? '',
      url: message.url ?? '',
      headers: message.headers,
      rawHeaders: message.rawHeaders,
      body: Buffer.alloc(0),
      complete: false,
    };
    received.push(entry);
    const chunks: Buffer[] = [];
    message.on('data', (chunk: Buffer) => chunks.push(chunk));
    message.on('error', () => {});
    message.on('end', () => {
      entry.body = Buffer.concat(chunks);
      entry.complete = message.complete;
      respond(message, response);
    });
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    server,
    received,
    sockets,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const greet: RequestListener = (message, response) => {
  const body = JSON.stringify({ path: message.url });
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
};
