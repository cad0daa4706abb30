/** A whole number with its unit, or 0: `500ms`, `2s`, `5m`, `1h`. */
export const DURATION_PATTERN = '^(0|[0-9]{1,9}(ms|s|m|h))$';

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** The same without zero: for limits that Node takes to be off when they are 0. */
export const POSITIVE_DURATION_PATTERN = '^(?=[0-9]*[1-9])[0-9]{1,9}(ms|s|m|h)$';

/** The longest delay a timer of Node takes (2^31 - 1 ms); a longer one fires at once. */
export const LONGEST_DURATION = 2_147_483_647;

/**
 * Reads a duration.
 *
 * @param text fits {@link DURATION_PATTERN}
 * @returns milliseconds, or undefined where it does not fit or no timer can wait that long
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const [, amount, unit] = /^([0-9]{1,9})(ms|s|m|h)$/.exec(text) ?? [];
  if (amount === undefined || unit === undefined) return undefined;
  const milliseconds = Number(amount) * (UNITS[unit] as number);
  return milliseconds <= LONGEST_DURATION ? milliseconds : undefined;
}
