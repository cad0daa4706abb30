import { join } from 'node:path';
import type { Contender } from '../contender.js';
import { scopegate, varied } from '../contenders/scopegate.js';
import { median, ratioOf, row } from '../report.js';
import { measure, type Running, type Stage, staged } from '../stage.js';
import { TOKEN } from '../token.js';
import {
  type Fleet,
  type FleetSetting,
  loadFleet,
  memoryOfFleet,
  type Span,
  startFleet,
  stopFleet,
} from './fleet.js';
import { type Access, type SharedStore, type StoreUsage, startStore } from './store.js';

/** How large a run is. */
export interface Size {
  /** Gateways. */
  readonly replicas: number;
  /** Tokens in use, each as often as any other. */
  readonly tokens: number;
  /** Requests a second, of all tokens together: few, so that a machine that is busy with other programs can serve them. */
  readonly rate: number;
  /** Seconds that an answer is used. */
  readonly ttl: number;
  /** Seconds that are measured after one `ttl`, in which caches get warm. */
  readonly steady: number;
  /** Seconds after a start of all gateways that are looked at. */
  readonly cold: number;
  /** Of the comparison of distances. */
  readonly distant: Distant;
}

/** How the store is measured at several distances. */
export interface Distant {
  /** Tokens that the store holds. */
  readonly tokens: number;
  /** Requests a second. */
  readonly rate: number;
  readonly rounds: number;
  /** Seconds a round. */
  readonly seconds: number;
}

/** A hundred thousand tokens at four gateways: below ten minutes. */
export const WHOLE: Size = {
  replicas: 4,
  tokens: 100_000,
  rate: 1_000,
  ttl: 100,
  steady: 60,
  cold: 20,
  distant: { tokens: 20_000, rate: 400, rounds: 3, seconds: 3 },
};

/** The same with other tokens: as many requests for each of them, so that hit rates stay what they are. */
export function sized(size: Size, tokens: number): Size {
  const factor = tokens / size.tokens;
  const { distant } = size;
  return {
    ...size,
    tokens,
    rate: size.rate * factor,
    distant: {
      ...distant,
      tokens: Math.ceil(distant.tokens * factor),
      rate: Math.ceil(distant.rate * factor),
    },
  };
}

/** The same in little, to see that everything runs. */
export const LITTLE: Size = {
  ...WHOLE,
  tokens: 5_000,
  rate: 200,
  ttl: 10,
  steady: 6,
  cold: 3,
  distant: { tokens: 2_000, rate: 100, rounds: 1, seconds: 1 },
};

/** Some time of a fleet, with when that was, in seconds since the first request. */
export interface Timed extends Span {
  readonly from: number;
  readonly to: number;
}

/** A fleet from its first request on. */
export interface FleetRun {
  /** The first seconds after the start of all gateways, whose caches are empty. */
  readonly cold: Timed;
  /** With warm caches. */
  readonly steady: Timed;
  /** Resident memory of all gateways in MiB at the end. */
  readonly memory: number;
}

/** A fleet with a store. */
export interface SharingRun extends FleetRun {
  /** The first seconds of other gateways, which find the store full. */
  readonly restarted: Timed;
  /** What the store held at the end of `steady`, and did during it. */
  readonly store: StoreUsage;
}

/** Gateways whose store is so far away; nearly every request looks a token up in it. */
export interface Distance {
  readonly name: string;
  /** Milliseconds from a command to its answer, measured at rest; undefined without a store. */
  readonly roundTrip?: number;
  /** CPU microseconds a request. */
  readonly cpu: number;
  readonly p50: number;
  readonly p99: number;
  /** Share of the requests whose token was in the store, and at the authorization server. */
  readonly shared: number;
  readonly miss: number;
  readonly refused: number;
}

/** A cached token at a gateway with a store, beside one without. */
export interface NearHit {
  /** CPU microseconds a request. */
  readonly without: number;
  readonly with: number;
  /** Of the second to the first in the same round: the median, and quartiles. */
  readonly ratio: ReturnType<typeof ratioOf>;
}

/** What `--only replicas` measures. */
export interface Replicas {
  readonly size: Size;
  readonly alone: FleetRun;
  readonly sharing: SharingRun;
  readonly distances: readonly Distance[];
  readonly near: NearHit;
}

/** Milliseconds that the authorization server takes. */
const DELAY = 2;
const CONNECTIONS = 256;
const DISTANCES = [1, 5, 20] as const;
const FOR_GOOD = '1h';
/** The longest that filling the store may take, in seconds. */
const FILLING = 300;

/**
 * Measures gateways with a real store and without one.
 *
 * @param rounds and `seconds` of each for the hit in the gateway's own cache
 */
export async function measureReplicas(
  folder: string,
  size: Size,
  { rounds, seconds }: { readonly rounds: number; readonly seconds: number },
): Promise<Replicas> {
  const store = await startStore(join(folder, 'store'));
  const pair: Pair = [
    scopegate,
    varied('with a store', { introspection: { cache: { shared: store.socket } } }),
  ];
  try {
    return await staged({ folder, delay: DELAY }, [scopegate], async (stage) => {
      const near = await compareHits(stage, pair, rounds, seconds);
      console.log(`a cached token with a store: ${near.ratio.median.toFixed(3)} of one without`);
      const alone = await runAlone(stage, size);
      const sharing = await runSharing(stage, size, store);
      const distances = await compareDistances(stage, size, store);
      return { size, alone, sharing, distances, near };
    });
  } finally {
    await store.stop();
  }
}

/** A gateway without a store, and one with it. */
type Pair = readonly [without: Contender, sharing: Contender];

/** What two processes of the same program cost differs by a few percent for as long as they live. */
const PAIRS = 4;

/** Compares gateways with a store and without one, several of each. */
async function compareHits(stage: Stage, pair: Pair, rounds: number, seconds: number): Promise<NearHit> {
  const cpu: [number[], number[]] = [[], []];
  for (let each = 0; each < PAIRS; each++) {
    const running = [await stage.launch(pair[0]), await stage.launch(pair[1])];
    for (let round = -2; round < rounds / 2; round++) {
      for (const index of (round + each) % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        const order = { connections: 64, path: '/get', token: TOKEN, duration: seconds };
        const sample = await measure(running[index] as Running, stage, order);
        if (round >= 0) cpu[index].push(sample.cpu);
      }
    }
    for (const { child } of running) await child.stop();
  }
  const [without, sharing] = cpu;
  return { without: median(without), with: median(sharing), ratio: ratioOf(sharing, without) };
}

/** Loads a fleet from `from` on for so long: its tokens in no order, at a fixed rate. */
async function span(stage: Stage, fleet: Fleet, size: Size, from: number, seconds: number): Promise<Timed> {
  const { tokens, rate } = size;
  const order = { connections: CONNECTIONS, duration: seconds, tokens, inNoOrder: true, rate };
  const taken = await loadFleet(stage, fleet, order);
  console.log(
    `  ${from} to ${from + seconds} s: ${taken.rate.toFixed(0)} requests a second, ${taken.introspections} introspections, ${taken.cpu.toFixed(0)} µs, ${(taken.refused * 100).toFixed(2)} % refused`,
  );
  return { ...taken, from, to: from + seconds };
}

async function runAlone(stage: Stage, size: Size): Promise<FleetRun> {
  console.log(`${size.replicas} gateways without a store`);
  const fleet = await startFleet(stage, 'alone', size.replicas, settingOf(size));
  const cold = await span(stage, fleet, size, 0, size.cold);
  await span(stage, fleet, size, size.cold, size.ttl - size.cold);
  const steady = await span(stage, fleet, size, size.ttl, size.steady);
  const memory = memoryOfFleet(fleet);
  await stopFleet(fleet);
  return { cold, steady, memory };
}

async function runSharing(stage: Stage, size: Size, store: SharedStore): Promise<SharingRun> {
  console.log(`${size.replicas} gateways with a store`);
  const setting = settingOf(size, store.socket);
  const fleet = await startFleet(stage, 'sharing', size.replicas, setting);
  // They wait for their turn from here on, so that it begins when the others' ends.
  const next = await startFleet(stage, 'restarted', size.replicas, setting);
  await store.clear();
  const cold = await span(stage, fleet, size, 0, size.cold);
  await span(stage, fleet, size, size.cold, size.ttl - size.cold);
  const before = await store.usage();
  const steady = await span(stage, fleet, size, size.ttl, size.steady);
  const after = await store.usage();
  const restarted = await span(stage, next, size, size.ttl + size.steady, size.cold);
  const memory = memoryOfFleet(fleet);
  await stopFleet(fleet);
  await stopFleet(next);
  return { cold, steady, restarted, memory, store: sinceThen(before, after) };
}

function settingOf({ ttl, tokens }: Size, store?: Access): FleetSetting {
  return { ttl: `${ttl}s`, entries: tokens, store };
}

function sinceThen(before: StoreUsage, after: StoreUsage): StoreUsage {
  const commands = Object.entries(after.commands).map(
    ([name, calls]) => [name, calls - (before.commands[name] ?? 0)] as const,
  );
  return { ...after, commands: Object.fromEntries(commands), cpu: after.cpu - before.cpu };
}

async function compareDistances(stage: Stage, size: Size, store: SharedStore): Promise<Distance[]> {
  const { replicas, distant } = size;
  const { tokens, rate, rounds, seconds } = distant;
  console.log('the store at several distances');
  await store.clear();
  const fill = await startFleet(stage, 'fill', 1, { ttl: FOR_GOOD, entries: tokens, store: store.socket });
  const filling = { connections: 64, duration: FILLING, tokens, requests: tokens };
  await loadFleet(stage, fill, filling);
  await stopFleet(fill);
  const variants: { name: string; store?: Access }[] = [
    { name: 'no store' },
    { name: 'Unix socket', store: store.socket },
    { name: 'TCP on loopback', store: store.tcp },
  ];
  for (const ms of DISTANCES) variants.push({ name: `${ms} ms away`, store: await store.distant(ms) });
  const fleets = [];
  for (const variant of variants) {
    const setting = { ttl: FOR_GOOD, entries: tokens, store: variant.store };
    const fleet = await startFleet(stage, variant.name, replicas, setting);
    fleets.push({ ...variant, fleet, samples: [] as Span[] });
  }
  const order = { connections: CONNECTIONS, duration: seconds, tokens, inNoOrder: true, rate };
  for (let round = -1; round < rounds; round++) {
    for (const { fleet, samples } of round % 2 === 0 ? fleets : fleets.toReversed()) {
      const taken = await loadFleet(stage, fleet, order);
      if (round >= 0) samples.push(taken);
    }
    console.log(`  round ${round + 1}/${rounds}`);
  }
  const distances: Distance[] = [];
  for (const { name, store: access, fleet, samples } of fleets) {
    const roundTrip = access === undefined ? {} : { roundTrip: await store.roundTrip(access) };
    distances.push({ name, ...roundTrip, ...middleOf(samples) });
    await stopFleet(fleet);
  }
  return distances;
}

function middleOf(samples: readonly Span[]): Omit<Distance, 'name' | 'roundTrip'> {
  const of = (value: (span: Span) => number): number => median(samples.map(value));
  const share = (key: 'shared' | 'miss') =>
    of(({ lookups, requests }) => lookups[key] / Math.max(1, requests));
  return {
    cpu: of(({ cpu }) => cpu),
    p50: of(({ p50 }) => p50),
    p99: of(({ p99 }) => p99),
    shared: share('shared'),
    miss: share('miss'),
    refused: of(({ refused }) => refused),
  };
}

/** What a person wants to see at the end of a run. */
export function replicasTable({ size, alone, sharing, distances, near }: Replicas): string {
  const line = (name: string, { introspections, rate, cpu, p50, p99 }: Span): string =>
    row(
      name,
      ...[rate, introspections, cpu].map((value) => value.toFixed(0)),
      p50.toFixed(2),
      p99.toFixed(2),
    );
  return [
    '',
    `${size.replicas} gateways, ${size.tokens} tokens, ttl ${size.ttl} s`,
    row('', 'req/s', 'introsp.', 'CPU µs/req', 'p50 ms', 'p99 ms'),
    line('cold, no store', alone.cold),
    line('cold, store', sharing.cold),
    line('restarted, store', sharing.restarted),
    line('warm, no store', alone.steady),
    line('warm, store', sharing.steady),
    '',
    row('store', 'ping ms', 'CPU µs/req', 'p50 ms', 'p99 ms', 'in store'),
    ...distances.map(({ name, roundTrip, cpu, p50, p99, shared }) =>
      row(
        name,
        roundTrip?.toFixed(2) ?? '–',
        cpu.toFixed(0),
        p50.toFixed(2),
        p99.toFixed(2),
        `${(shared * 100).toFixed(0)} %`,
      ),
    ),
    '',
    `a cached token: ${near.with.toFixed(1)} µs with a store, ${near.without.toFixed(1)} µs without; ratio ${near.ratio.median.toFixed(3)} (${near.ratio.low.toFixed(3)}–${near.ratio.high.toFixed(3)})`,
  ].join('\n');
}
