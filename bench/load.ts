/**
 * A child process that loads a gateway: raw sockets, one request at a time on each, so that it costs less than what
 * it measures. Takes orders as lines of JSON on standard input, answers each with a line.
 */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** One round of load. */
export interface Order {
  readonly port: number;
  readonly connections: number;
  /** Seconds. */
  readonly duration: number;
  /** The token of every request; undefined for a new one each time. */
  readonly token?: string;
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
/** As long as Hydra's opaque tokens. */
const freshToken = (): string =>
  `ory_at_${process.pid.toString(36)}${(serial++).toString(36).padStart(12, '0')}${'x'.repeat(30)}.${'y'.repeat(43)}`;

async function run(order: Order): Promise<Harvest> {
  const latencies: number[] = [];
  const statuses: Record<string, number> = {};
  const started = performance.now();
  const ends = started + order.duration * 1000;
  let left = order.requests ?? Number.POSITIVE_INFINITY;
  const fixed = order.token === undefined ? undefined : requestText(order.path, order.token);

  await Promise.all(
    Array.from({ length: order.connections }, () => {
      return new Promise<void>((resolve) => {
        let socket: Socket;
        let sent = 0;
        let pending = '';
        const next = (): void => {
          if (left-- <= 0 || performance.now() >= ends) {
            socket.destroy();
            resolve();
            return;
          }
          sent = performance.now();
          socket.write(fixed ?? requestText(order.path, freshToken()));
        };
        const open = (): void => {
          pending = '';
          socket = connect(order.port, '127.0.0.1');
          socket.setNoDelay(true);
          socket.on('connect', next);
          socket.on('data', (chunk) => {
            pending += chunk.toString('latin1');
            const head = pending.indexOf('\r\n\r\n');
            if (head === -1) return;
            const length = /\r\ncontent-length: *(\d+)/i.exec(pending)?.[1];
            const complete =
              length === undefined
                ? pending.endsWith('0\r\n\r\n')
                : pending.length >= head + 4 + Number(length);
            if (!complete) return;
            const status = pending.slice(9, 12);
            statuses[status] = (statuses[status] ?? 0) + 1;
            latencies.push(performance.now() - sent);
            const closes = /\r\nconnection: *close/i.test(pending.slice(0, head));
            pending = '';
            if (closes) socket.destroy();
            else next();
          });
          socket.on('error', () => {
            statuses['broken'] = (statuses['broken'] ?? 0) + 1;
          });
          socket.on('close', () => {
            if (left > 0 && performance.now() < ends) setImmediate(open);
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

function requestText(path: string, token: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: gate.example\r\nUser-Agent: bench\r\nAccept: */*\r\nAuthorization: Bearer ${token}\r\n\r\n`;
}

if (process.argv[1]?.endsWith('load.js')) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as Order))}\n`);
  }
}
