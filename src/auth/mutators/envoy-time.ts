import { TemplateError } from './template.js';

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July'],
  ...['August', 'September', 'October', 'November', 'December'],
];
const two = (value: number): string => String(value).padStart(2, '0');

/** The specifiers of Envoy's dates: those of C's strftime that need no locale, and `%s`, `%f`. Always in UTC. */
const SPECIFIERS: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => (DAYS[date.getUTCDay()] as string).slice(0, 3),
  A: (date) => DAYS[date.getUTCDay()] as string,
  b: (date) => (MONTHS[date.getUTCMonth()] as string).slice(0, 3),
  B: (date) => MONTHS[date.getUTCMonth()] as string,
  d: (date) => two(date.getUTCDate()),
  D: (date) => `${two(date.getUTCMonth() + 1)}/${two(date.getUTCDate())}/${two(date.getUTCFullYear() % 100)}`,
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  F: (date) => date.toISOString().slice(0, 10),
  H: (date) => two(date.getUTCHours()),
  j: (date) =>
    String(Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear())) / 86_400_000) + 1).padStart(3, '0'),
  m: (date) => two(date.getUTCMonth() + 1),
  M: (date) => two(date.getUTCMinutes()),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  S: (date) => two(date.getUTCSeconds()),
  T: (date) => date.toISOString().slice(11, 19),
  y: (date) => two(date.getUTCFullYear() % 100),
  Y: (date) => String(date.getUTCFullYear()),
  z: () => '+0000',
  Z: () => 'UTC',
  '%': () => '%',
};

/** A function that writes a time, given in milliseconds since 1970. Undefined for a time that is unknown. */
export type TimeFormat = (time: number) => string | undefined;

/**
 * Parses the format of a date in Envoy.
 *
 * @param format empty for Envoy's default, `2018-12-18T01:50:34.000Z`
 * @throws TemplateError if a specifier is not supported
 */
export function parseTimeFormat(format: string): TimeFormat {
  const parts: (string | ((date: Date) => string))[] = [];
  for (const [part, digits, name] of format.matchAll(/%([1-9]?)(.?)|[^%]+/gsu)) {
    if (name === undefined) parts.push(part);
    else if (name === 'f') parts.push((date) => fraction(date, Number(digits || 9)));
    else if (digits === '' && Object.hasOwn(SPECIFIERS, name)) {
      parts.push(SPECIFIERS[name] as (date: Date) => string);
    } else {
      const known = Object.keys(SPECIFIERS).filter((each) => each !== '%');
      throw new TemplateError(
        `${part} is not supported in a date: write one of %${known.join(' %')} %f %1f to %9f`,
      );
    }
  }
  return (time) => {
    const date = new Date(time);
    if (Number.isNaN(date.getTime())) return undefined;
    if (format === '') return date.toISOString();
    return parts.map((part) => (typeof part === 'string' ? part : part(date))).join('');
  };
}

/** The fraction of the second. Milliseconds are known; further digits are zero. */
function fraction(date: Date, digits: number): string {
  return String(date.getUTCMilliseconds()).padStart(3, '0').padEnd(9, '0').slice(0, digits);
}
