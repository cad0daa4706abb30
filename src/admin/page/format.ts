// How the page writes numbers and times.

/** A whole number with separators: 12,345. */
export const whole = (value: number): string => Math.round(value).toLocaleString('en');

/** A rate: 0.2, 3.4, 1,234. */
export function rate(value: number): string {
  if (value === 0) return '0';
  if (value < 0.1) return value.toFixed(2);
  return value < 10 ? value.toFixed(1) : whole(value);
}

/** A duration of milliseconds: 0.12 ms, 3.4 ms, 120 ms, 1.5 s. */
export function duration(ms: number): string {
  if (ms === 0) return '0 ms';
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  return `${(ms / 1_000).toFixed(1)} s`;
}

/** A share from 0 to 1 as a percentage. */
export function percent(share: number): string {
  const value = share * 100;
  return `${value > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** A number of bytes: 512 B, 1.5 MiB. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let value = count;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** A time of day with seconds, in the reader's time zone. */
export const clock = (at: string | number): string => new Date(at).toLocaleTimeString('en-GB');

/** A time of day without seconds. */
export const hourMinute = (at: number): string =>
  new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });

/** A date with its time. */
export const dateTime = (at: string | number): string =>
  new Date(at).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** A span of milliseconds in its two largest units: 3 d 4 h, 12 min 5 s. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first === -1) return '0 s';
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}

/** A place in a file, `file:line:col`, without the folders of the file. */
export function placeOf(source: string): string {
  return source.startsWith('env:') ? source : source.replace(/^.*[\\/]/, '');
}
