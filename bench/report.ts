/** One measurement of one contender in one situation. */
export interface Sample {
  /** User and system time of the contender's process tree, in microseconds a request. */
  readonly cpu: number;
  /** Requests a second. */
  readonly rate: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Share of one processor that was in use. */
  readonly busy: number;
  /** Resident memory in MiB after the round. */
  readonly rss: number;
  /** Introspections the authorization server saw. */
  readonly introspections: number;
  readonly requests: number;
  readonly statuses: Readonly<Record<string, number>>;
}

/** Situation → contender → samples, in the order they were measured. */
export type Results = Map<string, Map<string, Sample[]>>;

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/**
 * What one thing cost for each unit that another one cost, round by round: a machine that is slower for a while is so for
 * both.
 *
 * @returns the median of the rounds' ratios, and the quartiles beside it
 */
export function ratioOf(
  own: readonly number[],
  other: readonly number[],
): { readonly median: number; readonly low: number; readonly high: number } {
  const ratios = own.map((cost, round) => cost / (other[round] ?? Number.NaN)).sort((a, b) => a - b);
  const at = (share: number): number => ratios[Math.floor((ratios.length - 1) * share)] ?? Number.NaN;
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}

/** A table a situation: medians, spread, and the ratio of the reference's CPU to each contender's. */
export function table(results: Results, reference: string): string {
  const lines: string[] = [];
  for (const [situation, contenders] of results) {
    lines.push(
      '',
      situation,
      row(
        'contender',
        'CPU µs/req',
        'min–max',
        'ratio',
        'quartiles',
        'req/s',
        'p50 ms',
        'p99 ms',
        'p99.9 ms',
        'busy',
        'RSS MiB',
        'introsp.',
        'statuses',
      ),
    );
    const base = (contenders.get(reference) ?? []).map(({ cpu }) => cpu);
    for (const [name, samples] of contenders) {
      const cpu = samples.map((sample) => sample.cpu);
      const of = (key: 'rate' | 'p50' | 'p99' | 'p999' | 'busy' | 'rss'): number =>
        median(samples.map((sample) => sample[key]));
      const ratio = ratioOf(base, cpu);
      const statuses = new Set(samples.flatMap((sample) => Object.keys(sample.statuses)));
      lines.push(
        row(
          name,
          median(cpu).toFixed(1),
          `${Math.min(...cpu).toFixed(0)}–${Math.max(...cpu).toFixed(0)}`,
          ratio.median.toFixed(2),
          `${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)}`,
          of('rate').toFixed(0),
          of('p50').toFixed(2),
          of('p99').toFixed(2),
          of('p999').toFixed(2),
          of('busy').toFixed(2),
          of('rss').toFixed(0),
          String(median(samples.map(({ introspections }) => introspections))),
          [...statuses].join(','),
        ),
      );
    }
  }
  lines.push(
    '',
    `ratio: CPU of ${reference} divided by the contender's of the same round, the median; below 1 ${reference} costs less`,
    'busy: share of one processor that the contender used; well below 1, it could have done more',
  );
  return lines.join('\n');
}

/** A line of a table: a name, then cells to the right. */
export function row(name: string, ...cells: readonly string[]): string {
  return `  ${name.padEnd(20)}${cells.map((cell) => cell.padStart(11)).join('')}`;
}

/** The same as plain data, for a file. */
export function toJson(results: Results): object {
  return Object.fromEntries(
    [...results].map(([situation, contenders]) => [situation, Object.fromEntries(contenders)]),
  );
}
