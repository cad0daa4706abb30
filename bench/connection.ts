import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** How the load speaks to a gateway. */
export type Protocol = 'http' | 'https' | 'h2';

/** A request of the load. */
export interface Ask {
  readonly path: string;
  readonly token: string;
}

/** Carries one request at a time. */
export interface Connection {
  send(ask: Ask): void;
  close(): void;
}

/** What a connection tells. */
export interface Listener {
  /** It can take a request: when it is open, and after each answer. */
  idle(): void;
  answered(status: string): void;
  /** It ended, with a request under way or without; it opens again unless it has been closed. */
  broken(): void;
}

/** Sessions carry so many requests of HTTP/2 at once. */
const STREAMS = 8;
const HOST = 'gate.example';
/** The certificate is the bench's own, made a moment ago. */
const TRUST = { servername: HOST, rejectUnauthorized: false } as const;

/**
 * Opens so many connections, or streams of HTTP/2 on fewer of them.
 *
 * @param ports of gateways that get a connection in turn
 */
export function openAll(
  protocol: Protocol,
  ports: readonly number[],
  count: number,
  listener: (index: number) => Listener,
): Connection[] {
  const portOf = (index: number): number => ports[index % ports.length] as number;
  if (protocol !== 'h2') {
    return Array.from({ length: count }, (_, i) => openHttp1(protocol, portOf(i), listener(i)));
  }
  const connections: Connection[] = [];
  while (connections.length < count) {
    const streams = Math.min(STREAMS, count - connections.length);
    const first = connections.length;
    connections.push(
      ...openHttp2(
        portOf(first / STREAMS),
        Array.from({ length: streams }, (_, i) => listener(first + i)),
      ),
    );
  }
  return connections;
}

function openHttp2(port: number, listeners: readonly Listener[]): Connection[] {
  const session: ClientHttp2Session = connectHttp2(`https://127.0.0.1:${port}`, TRUST);
  session.on('error', () => {
    for (const listener of listeners) listener.broken();
  });
  session.once('connect', () => {
    for (const listener of listeners) listener.idle();
  });
  return listeners.map((listener) => ({
    send({ path, token }) {
      const stream = session.request({
        ':authority': HOST,
        ':path': path,
        authorization: `Bearer ${token}`,
        'user-agent': 'bench',
        accept: '*/*',
      });
      let status = '';
      stream.on('response', (headers) => {
        status = String(headers[':status']);
      });
      stream.on('error', () => {});
      stream.on('close', () => {
        if (status === '') listener.broken();
        else listener.answered(status);
        listener.idle();
      });
      stream.resume();
      stream.end();
    },
    close: () => session.destroy(),
  }));
}

/** Raw sockets, so that the load costs less than what it measures. */
function openHttp1(protocol: 'http' | 'https', port: number, listener: Listener): Connection {
  let socket: Socket;
  let head = '';
  /** Bytes of the body that are still to come; undefined while the head is. */
  let left: number | undefined;
  let closed = false;
  const open = (): void => {
    head = '';
    left = undefined;
    socket =
      protocol === 'http'
        ? connect(port, '127.0.0.1')
        : connectTls({ host: '127.0.0.1', port, ALPNProtocols: ['http/1.1'], ...TRUST });
    socket.setNoDelay(true);
    socket.on(protocol === 'http' ? 'connect' : 'secureConnect', () => listener.idle());
    socket.on('data', take);
    socket.on('error', () => listener.broken());
    socket.on('close', () => {
      if (!closed) setImmediate(open);
    });
  };
  const take = (chunk: Buffer): void => {
    let body = chunk.length;
    let last = chunk;
    if (left === undefined) {
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return;
      body = head.length - end - 4;
      last = Buffer.from(head.slice(end + 4), 'latin1');
      head = head.slice(0, end);
      // Without a length it comes in chunks, and its end is looked for.
      left = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.POSITIVE_INFINITY);
    }
    left -= body;
    const chunked = left === Number.POSITIVE_INFINITY;
    if (left > 0 && !(chunked && last.toString('latin1').endsWith('0\r\n\r\n'))) return;
    const status = head.slice(9, 12);
    const closes = /\r\nconnection: *close/i.test(head);
    head = '';
    left = undefined;
    listener.answered(status);
    if (closes) socket.destroy();
    else listener.idle();
  };
  open();
  return {
    send({ path, token }) {
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer ${token}\r\n\r\n`,
      );
    },
    close() {
      closed = true;
      socket.destroy();
    },
  };
}
