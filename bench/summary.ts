import type { PeerStart } from './peer-starts.js';
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

/** docs/performance.json: what the tables of docs/performance.md are made of. */
export interface Summary {
  readonly run?: RunInfo;
  readonly situations: Readonly<Record<string, Readonly<Record<string, Row>>>>;
  /** CPU and time in milliseconds, memory at rest in MiB. */
  readonly starts: Readonly<Record<string, PeerStart>>;
  readonly absent: readonly string[];
}

/** Three digits that count. */
const short = (value: number): number => Number(value.toPrecision(3));

/** Makes a run small enough to be kept: medians in place of rounds. */
export function summaryOf({ run, results, peerStarts = {}, absent }: ResultsFile): Summary {
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
  };
}
