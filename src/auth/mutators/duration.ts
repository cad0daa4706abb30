const UNITS: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

/** JSON Schema of a duration as Oathkeeper writes it. */
export const durationSchema = {
  type: 'string',
  title: 'a duration such as 30s, 15m or 1h',
  pattern: '^[0-9]+(ns|us|ms|s|m|h)$',
} as const;

/** Seconds of a duration that fits the schema. */
export function durationSeconds(text: string): number {
  const [, amount, unit] = /^(\d+)([a-z]+)$/.exec(text) as unknown as [string, string, string];
  return Number(amount) * (UNITS[unit] as number);
}
