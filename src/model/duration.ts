/** A whole number with its unit, or 0: `500ms`, `2s`, `5m`, `1h`. */
export const DURATION_PATTERN = '^(0|[0-9]{1,9}(ms|s|m|h))$';

/** The same without zero, for limits that Node disables when they are 0. */
export const POSITIVE_DURATION_PATTERN = '^(?=[0-9]*[1-9])[0-9]{1,9}(ms|s|m|h)$';

/**
 * The longest delay of a Node timer, in milliseconds (2^31 - 1). Node fires a timer with a longer delay at
 * once.
 */
export const LONGEST_DURATION = 2_147_483_647;

/** JSON Schema of a duration in the settings, and in the parts of rules that only scopegate has. */
export const durationSchema = {
  type: 'string',
  title: 'a duration such as 500ms, 2s, 5m or 1h',
  pattern: DURATION_PATTERN,
} as const;

/** JSON Schema of a duration as Oathkeeper writes it: Go's units, and always with a unit. */
export const oathkeeperDurationSchema = {
  type: 'string',
  title: 'a duration such as 30s, 15m or 1h',
  pattern: '^[0-9]+(ns|us|ms|s|m|h)$',
} as const;

/**
 * Reads a duration.
 *
 * @param text fits {@link DURATION_PATTERN}
 * @returns milliseconds, or undefined if the text does not fit or is longer than a timer can wait
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const [, amount, unit] = /^([0-9]{1,9})(ms|s|m|h)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return undefined;
  const milliseconds = (Number(amount) * (NANOSECONDS[unit] as number)) / 1e6;
  return milliseconds <= LONGEST_DURATION ? milliseconds : undefined;
}

/**
 * Reads a duration as Go prints it: `1h30m0s`, `1.5s`.
 *
 * @returns nanoseconds; undefined if the text is not one
 */
export function goDurationNanoseconds(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    sum += Number(amount) * (NANOSECONDS[unit as string] as number);
  }
  return sum;
}

/** Each of Go's units in nanoseconds. */
const NANOSECONDS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/**
 * Reads a duration as Oathkeeper writes it.
 *
 * @param text fits {@link oathkeeperDurationSchema}
 * @returns seconds
 */
export function oathkeeperDurationSeconds(text: string): number {
  const [, amount, unit] = /^(\d+)([a-z]+)$/.exec(text) as unknown as [string, string, string];
  return (Number(amount) * (NANOSECONDS[unit] as number)) / 1e9;
}
