import { type Answered, curl } from '../../stack/shell.js';

/** Asks again until something is so. @throws with what it was last, where it does not come to that in time */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T>,
  good: (value: T) => boolean,
): Promise<T> {
  const late = performance.now() + 90_000;
  for (;;) {
    const value = await ask();
    if (good(value)) return value;
    if (performance.now() > late) throw new Error(`${what}: it is still ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

/** The status of a request, or 0 where nothing answers. */
export async function status(url: string, token?: string): Promise<number> {
  const credentials = token === undefined ? [] : ['-H', `Authorization: Bearer ${token}`];
  return (await curl(url, ...credentials).catch((): Partial<Answered> => ({}))).status ?? 0;
}
