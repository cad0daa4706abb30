import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';

/** The buckets of decisions and introspections, in seconds. */
export const FAST = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];
/** The buckets of whole requests, in seconds. */
export const SLOW = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180];

/** One sample line of the text format. */
export interface Value {
  readonly metricName?: string;
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
}

/** A histogram without labels. It is cheap: two additions per observation. */
export class Histogram {
  readonly bounds: readonly number[];
  /** Counts per bucket, not cumulative. The last bucket is +Inf. */
  readonly buckets: number[];
  sum = 0;

  /** @param bounds the upper bounds of the buckets in seconds, ascending */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.buckets = new Array<number>(bounds.length + 1).fill(0);
  }

  /**
   * Counts one value.
   *
   * @param ms milliseconds
   */
  observe(ms: number): void {
    const seconds = ms / 1000;
    const { bounds, buckets } = this;
    let i = 0;
    while (i < bounds.length && seconds > (bounds[i] as number)) i++;
    (buckets[i] as number)++;
    this.sum += seconds;
  }
}

/** The samples of a metric without labels. */
export function one(value: number): Value[] {
  return [{ value, labels: {} }];
}

/** Adds numbers up. */
export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function histogramValues(
  name: string,
  labels: Record<string, string>,
  { bounds, buckets, sum: total }: Histogram,
): Value[] {
  let count = 0;
  const cumulated = buckets.map((bucket, i) => {
    count += bucket;
    const le = bounds[i] ?? '+Inf';
    return { metricName: `${name}_bucket`, value: count, labels: { ...labels, le } };
  });
  return [
    ...cumulated,
    { metricName: `${name}_sum`, value: total, labels },
    { metricName: `${name}_count`, value: count, labels },
  ];
}

/** Returns the functions that define metrics in a registry. */
export function definitions(registry: Registry) {
  /** Defines a metric whose values are read at each scrape. */
  function define(
    name: string,
    type: 'counter' | 'gauge' | 'histogram' | 'summary',
    help: string,
    values: () => Value[],
  ): void {
    const metric = {
      name,
      help,
      type,
      aggregator: 'sum',
      get: async () => ({ name, help, type, values: values() }),
    };
    registry.registerMetric(metric as unknown as Metric);
  }
  const counter = (name: string, help: string, values: () => Value[]) =>
    define(name, 'counter', help, values);
  const gauge = (name: string, help: string, values: () => Value[]) => define(name, 'gauge', help, values);
  const histogram = (
    name: string,
    help: string,
    children: readonly (readonly [labels: Record<string, string>, child: Histogram])[],
  ) =>
    define(name, 'histogram', help, () =>
      children.flatMap(([labels, child]) => histogramValues(name, labels, child)),
    );
  return { define, counter, gauge, histogram };
}

let processRegistry: Registry | undefined;

/**
 * The metrics of the process (CPU, memory, event loop). There is one registry per process, even with several
 * gateways in it.
 */
export function processMetrics(): Registry {
  if (processRegistry === undefined) {
    processRegistry = new Registry();
    collectDefaultMetrics({ register: processRegistry });
  }
  return processRegistry;
}
