import type { Curve } from './growth/curve.js';
import type { Loading } from './growth/loading.js';
import type { MatchCost } from './growth/matching.js';
import type { Growth } from './growth/measure.js';
import type { CurveKey } from './growth/plans.js';
import type { ProcessMemory } from './growth/processes.js';
import type { PeerStart } from './peer-starts.js';
import type { Replicas } from './replicas/measure.js';
import { median, ratioOf, type Sample } from './report.js';
import type { RunInfo } from './run-info.js';

/** What build/bench/results.json holds that the pages need. */
export interface ResultsFile {
  readonly run: RunInfo;
  /** Situation → contender → samples. */
  readonly results: Readonly<Record<string, Readonly<Record<string, readonly Sample[]>>>>;
  readonly peerStarts?: Readonly<Record<string, readonly PeerStart[]>>;
  /** Contender → why it was not measured. */
  readonly absent: Readonly<Record<string, string>>;
  readonly growth?: Growth;
  readonly replicas?: Replicas;
}

/** Medians of one contender in one situation. */
export interface Row {
  /** CPU microseconds a request. */
  readonly cpu: number;
  /** Of scopegate's to this one's in the same round. */
  readonly ratio: number;
  /** Requests a second. */
  readonly rate: number;
  /** Share of one processor. */
  readonly busy: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** MiB. */
  readonly rss: number;
}

/** What was measured, and the run that it is from. */
export interface Dated<T> {
  readonly run: RunInfo;
  readonly value: T;
}

/** Parts of `--only scale`, each from its own run. */
export interface DatedGrowth {
  readonly curves?: Readonly<Partial<Record<CurveKey, Dated<Curve>>>>;
  readonly loading?: Dated<readonly Loading[]>;
  readonly matching?: Dated<readonly MatchCost[]>;
  readonly processes?: Dated<readonly ProcessMemory[]>;
}

/** docs/performance.json: what the tables of docs/performance.md and docs/operations.md are made of. */
export interface Summary {
  /** The last run in which peers stood side by side. */
  readonly run?: RunInfo;
  /** Situations, and `start`, that are from an earlier run than that. */
  readonly earlier?: Readonly<Record<string, RunInfo>>;
  readonly situations: Readonly<Record<string, Readonly<Record<string, Row>>>>;
  /** CPU and time in milliseconds, memory at rest in MiB. */
  readonly starts: Readonly<Record<string, PeerStart>>;
  /** Contenders that the last run could not measure. */
  readonly absent: readonly string[];
  readonly growth?: DatedGrowth;
  readonly replicas?: Dated<Replicas>;
}

/** Three digits that count. */
const short = (value: number): number => Number(value.toPrecision(3));

/**
 * The same with three digits that count in every number that is not a whole one, and whole numbers as they are.
 *
 * @param value what JSON can hold
 */
export function shortened<T>(value: T): T {
  const text = JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'number' && !Number.isInteger(each) ? short(each) : each,
  );
  return JSON.parse(text) as T;
}

/** Makes a run small enough to be kept: medians in place of rounds. */
export function summaryOf(file: ResultsFile): Summary {
  const { run, results, peerStarts = {}, absent, growth, replicas } = file;
  const mapped = <T, U>(record: Readonly<Record<string, T>>, make: (value: T) => U): Record<string, U> =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [name, make(value)]));
  return {
    run,
    situations: mapped(results, (contenders) => {
      const base = (contenders.scopegate ?? []).map(({ cpu }) => cpu);
      return mapped(contenders, (samples): Row => {
        const of = (key: 'cpu' | 'rate' | 'busy' | 'p50' | 'p99' | 'p999' | 'rss'): number =>
          short(median(samples.map((sample) => sample[key])));
        const ratio = ratioOf(
          base,
          samples.map(({ cpu }) => cpu),
        );
        return {
          cpu: of('cpu'),
          ratio: short(ratio.median),
          rate: of('rate'),
          busy: of('busy'),
          p50: of('p50'),
          p99: of('p99'),
          p999: of('p999'),
          rss: of('rss'),
        };
      });
    }),
    starts: mapped(peerStarts, (samples) => {
      const of = (key: keyof PeerStart): number => short(median(samples.map((sample) => sample[key])));
      return { cpu: of('cpu'), wall: of('wall'), rss: of('rss') };
    }),
    absent: Object.keys(absent),
    ...(growth === undefined ? {} : { growth: datedGrowth(run, growth) }),
    ...(replicas === undefined ? {} : { replicas: { run, value: shortened(replicas) } }),
  };
}

function datedGrowth(run: RunInfo, { curves, ...others }: Growth): DatedGrowth {
  const dated = <T>(value: T): Dated<T> => ({ run, value: shortened(value) });
  return {
    ...Object.fromEntries(Object.entries(others).map(([name, value]) => [name, dated(value)])),
    curves: Object.fromEntries(curves.map((curve) => [curve.key, dated(curve)])),
  };
}

/** The key of `starts` among the situations of {@link Summary.earlier}. */
export const START = 'start';

/**
 * Adds a run to what earlier runs measured. A situation, and a part of `--only scale`, counts as the last run that measured it left it; what
 * a run did not measure stays, and keeps the run that it is from.
 */
export function merged(before: Summary, now: Summary): Summary {
  const growth = {
    ...before.growth,
    ...now.growth,
    curves: { ...before.growth?.curves, ...now.growth?.curves },
  };
  const grown = {
    ...(before.growth === undefined && now.growth === undefined ? {} : { growth }),
    ...(now.replicas === undefined && before.replicas === undefined
      ? {}
      : { replicas: now.replicas ?? before.replicas }),
  } as Pick<Summary, 'growth' | 'replicas'>;
  const own = measuredIn(now);
  // A run of curves alone says nothing about peers.
  if (own.length === 0) return { ...before, ...grown };
  const earlier = Object.fromEntries(
    measuredIn(before)
      .filter((name) => !own.includes(name))
      .map((name) => [name, before.earlier?.[name] ?? before.run] as const)
      .filter((entry): entry is [string, RunInfo] => entry[1] !== undefined),
  );
  return {
    ...(now.run === undefined ? {} : { run: now.run }),
    ...(Object.keys(earlier).length === 0 ? {} : { earlier }),
    situations: { ...before.situations, ...now.situations },
    starts: own.includes(START) ? now.starts : before.starts,
    absent: now.absent,
    ...grown,
  };
}

function measuredIn({ situations, starts }: Summary): string[] {
  return [...Object.keys(situations), ...(Object.keys(starts).length === 0 ? [] : [START])];
}
