/**
 * A child process that loads a gateway: in a closed loop, where each connection sends the next request as soon as it has its
 * answer, or in an open loop at a fixed rate. Takes orders as lines of JSON on standard input, answers each with a line.
 */
import { createInterface } from 'node:readline';
import { Random } from '../test/fuzz/random.js';
import { type Ask, type Connection, openAll, type Protocol } from './connection.js';
import { type Percentiles, percentilesOf, Schedule } from './latency.js';
import { tokenOf } from './token.js';

/** One round of load. */
export interface Order {
  readonly port: number;
  /** Several gateways, which get connections in turn, in place of `port`. */
  readonly ports?: readonly number[];
  readonly connections: number;
  /** Seconds. */
  readonly duration: number;
  /** The token of every request; undefined for a new one each time. */
  readonly token?: string;
  /** So many tokens that take turns, in place of one or of new ones. */
  readonly tokens?: number;
  /** Each of these tokens is as likely as any other, in place of turns. */
  readonly inNoOrder?: boolean;
  /** New tokens have answers with so many bytes of claims. */
  readonly claims?: number;
  /** Every so manyth request has a new token in place of `token`. */
  readonly freshEvery?: number;
  readonly path: string;
  /** Ends after so many requests, however long the duration. */
  readonly requests?: number;
  /** Requests a second, for an open loop; undefined for a closed one. */
  readonly rate?: number;
  /** Seconds before `duration`, with the same load, whose latencies do not count; none if it says nothing. */
  readonly lead?: number;
  /** `http` if it says nothing. */
  readonly protocol?: Protocol;
}

/** What a round brought. */
export interface Harvest extends Percentiles {
  readonly requests: number;
  /** How often each status came; `broken` for connections that ended, `unanswered` for requests of an open loop. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Seconds that it really took. */
  readonly seconds: number;
}

/** Seconds that an open loop waits for the answers of what was due. */
const PATIENCE = 5;
/** A timer may be late by a millisecond; what is due sooner is waited for without one. */
const TIMER = 1.5;

let serial = 0;
let turn = 0;
/** Which token is next, where they come in no order. */
const random = new Random(7662);
/** As long as Hydra's opaque tokens. */
const freshToken = (): string =>
  `ory_at_${process.pid.toString(36)}${(serial++).toString(36).padStart(12, '0')}${'x'.repeat(30)}.${'y'.repeat(43)}`;

function next({ path, token, tokens, inNoOrder, freshEvery, claims }: Order): Ask {
  if (tokens !== undefined) {
    return { path, token: tokenOf(inNoOrder === true ? random.below(tokens) : turn++ % tokens) };
  }
  if (token === undefined) {
    return { path, token: claims === undefined ? freshToken() : `${freshToken()}~${claims}` };
  }
  const fresh = freshEvery !== undefined && turn++ % freshEvery === 0;
  return { path, token: fresh ? freshToken() : token };
}

/** Runs one round of load. */
export async function run(order: Order): Promise<Harvest> {
  const latencies: number[] = [];
  const statuses: Record<string, number> = {};
  const count = (what: string, times = 1): void => {
    statuses[what] = (statuses[what] ?? 0) + times;
  };
  const started = performance.now();
  const now = (): number => performance.now() - started;
  const lead = (order.lead ?? 0) * 1000;
  const ends = lead + order.duration * 1000;
  let answered = 0;
  const work = order.rate === undefined ? closed(order, now, ends) : open(order, order.rate, now);
  /** When the request of each connection counts from. */
  const since: (number | undefined)[] = [];
  let connections: Connection[] = [];
  await new Promise<void>((resolve) => {
    const idle = new Set<number>();
    const finish = (): void => {
      clearInterval(watch);
      resolve();
    };
    /** Gives work to connections that have none. */
    const pump = (): void => {
      for (const index of idle) {
        const from = work.take();
        if (from === undefined) break;
        idle.delete(index);
        since[index] = from;
        (connections[index] as Connection).send(next(order));
      }
      if (work.over() && since.every((each) => each === undefined)) finish();
    };
    const watch = setInterval(() => {
      if (now() > ends + PATIENCE * 1000) finish();
      else pump();
    }, 50);
    const ports = order.ports ?? [order.port];
    connections = openAll(order.protocol ?? 'http', ports, order.connections, (index) => ({
      idle() {
        idle.add(index);
        pump();
      },
      answered(status) {
        const from = since[index];
        if (from === undefined) return;
        since[index] = undefined;
        count(status);
        answered++;
        if (from >= lead) latencies.push(now() - from);
      },
      broken() {
        since[index] = undefined;
        idle.delete(index);
        count('broken');
        // A gateway that refuses connections would be asked for ever.
        if (work.over()) pump();
      },
    }));
    work.start?.(pump);
  });
  for (const connection of connections) connection.close();
  const { total } = work;
  if (total !== undefined && total > answered) count('unanswered', total - answered);
  const seconds = now() / 1000;
  return { requests: answered, statuses, seconds, ...percentilesOf(latencies) };
}

/** When requests may be sent. */
interface Work {
  /** Milliseconds since the beginning from which the next request counts; undefined if none may be sent now. */
  take(): number | undefined;
  /** Whether there will be no more. */
  over(): boolean;
  /** How many there are, where that is known. */
  readonly total?: number;
  /** Calls back whenever a request becomes due. */
  start?(pump: () => void): void;
}

function closed(order: Order, now: () => number, ends: number): Work {
  let quota = order.requests ?? Number.POSITIVE_INFINITY;
  const over = (): boolean => quota <= 0 || now() >= ends;
  return {
    over,
    take() {
      if (over()) return undefined;
      quota--;
      return now();
    },
  };
}

function open(order: Order, rate: number, now: () => number): Work {
  const schedule = new Schedule(rate, (order.lead ?? 0) + order.duration);
  return {
    total: schedule.total,
    over: () => schedule.wait(now()) === undefined,
    take: () => schedule.take(now()),
    start(pump) {
      const wake = (): void => {
        pump();
        const wait = schedule.wait(now());
        if (wait === undefined) return;
        if (wait > TIMER) setTimeout(wake, wait - TIMER);
        else setImmediate(wake);
      };
      wake();
    },
  };
}

if (process.argv[1]?.endsWith('load.js')) {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await run(JSON.parse(line) as Order))}\n`);
  }
}
