/**
 * A child process that loads a gateway: raw sockets, one request at a time on each, so that it costs less than what
 * it measures. Takes orders as lines of JSON on standard input, answers each with a line.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { tokenOf } from './token.js';

/** One round of load. */
export interface Order {
  readonly port: number;
  readonly connections: number;
  /** Seconds. */
  readonly duration: number;
  /** The token of every request; undefined for a new one each time. */
  readonly token?: string;
  /** So many tokens that take turns, in place of one or of new ones. */
  readonly tokens?: number;
  readonly path: string;
  /** Ends after so many requests, however long the duration. */
  readonly requests?: number;
}

/** What a round brought. */
export interface Harvest {
  readonly requests: number;
  /** How often each status came. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Seconds that it really took. */
  readonly seconds: number;
}

let serial = 0;
let turn = 0;
/** As long as Hydra's opaque tokens. */
const freshToken = (): string =>
  `ory_at_${process.pid.toString(36)}${(serial++).toString(36).padStart(12, '0')}${'x'.repeat(30)}.${'y'.repeat(43)}`;

async function run(order: Order): Promise<Harvest> {
  const latencies: number[] = [];
  const statuses: Record<string, number> = {};
  const started = performance.now();
  const ends = started + order.duration * 1000;
  let quota = order.requests ?? Number.POSITIVE_INFINITY;
  const fixed = order.token === undefined ? undefined : requestText(order.path, order.token);

  await Promise.all(
    Array.from({ length: order.connections }, () => {
      return new Promise<void>((resolve) => {
        let socket: Socket;
        let sent = 0;
        let head = '';
        /** Bytes of the body that are still to come; undefined while the head is. */
        let left: number | undefined;
        const send = (): void => {
          if (quota-- <= 0 || performance.now() >= ends) {
            socket.destroy();
            resolve();
            return;
          }
          sent = performance.now();
          socket.write(fixed ?? requestText(order.path, next(order)));
        };
        const open = (): void => {
          head = '';
          left = undefined;
          socket = connect(order.port, '127.0.0.1');
          socket.setNoDelay(true);
          socket.on('connect', send);
          socket.on('data', (chunk) => {
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
            if (
              left > 0 &&
              !(left === Number.POSITIVE_INFINITY && last.toString('latin1').endsWith('0\r\n\r\n'))
            )
              return;
            const status = head.slice(9, 12);
            statuses[status] = (statuses[status] ?? 0) + 1;
            latencies.push(performance.now() - sent);
            const closes = /\r\nconnection: *close/i.test(head);
            head = '';
            left = undefined;
            if (closes) socket.destroy();
            else send();
          });
          socket.on('error', () => {
            statuses.broken = (statuses.broken ?? 0) + 1;
          });
          socket.on('close', () => {
            if (quota > 0 && performance.now() < ends) setImmediate(open);
            else resolve();
          });
        };
        open();
      });
    }),
  );
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return {
    requests: latencies.length,
    statuses,
    p50: at(0.5),
    p99: at(0.99),
    seconds: (performance.now() - started) / 1000,
  };
}

function next({ tokens }: Order): string {
  return tokens === undefined ? freshToken() : tokenOf(turn++ % tokens);
}

function requestText(path: string, token: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: gate.example\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer ${token}\r\n\r\n`;
}

if (process.argv[1]?.endsWith('load.js')) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as Order))}\n`);
  }
}
