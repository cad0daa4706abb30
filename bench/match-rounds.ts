import type { Rule } from '../src/model/rule.js';
import type { Request } from './rulesets.js';

/** Requests that take turns, and how many of them one round has. */
export const REQUESTS = 10_000;
export const BATCH = 1_000;

/** Finds the rule of a request. */
export type Find = (host: string, path: string) => Rule | undefined;

/** So many requests that take turns, of those that there are. */
export function repeat(requests: readonly Request[]): Request[] {
  return Array.from({ length: REQUESTS }, (_, i) => requests[i % requests.length] as Request);
}

/** The same things in an order that no cache of the processor could guess; always the same one. */
export function shuffle<T>(items: readonly T[]): T[] {
  let seed = 42;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  return items
    .map((item) => [random(), item] as const)
    .sort((a, b) => a[0] - b[0])
    .map(([, item]) => item);
}

/**
 * Times one batch of the requests, the next one in each round.
 *
 * @returns nanoseconds a request
 * @throws Error if a request finds no rule
 */
export function timeMatches(find: Find, all: readonly Request[], round: number): number {
  const from = (round * BATCH) % all.length;
  const requests = all.slice(from, from + BATCH);
  // As they come off a connection: every path a string of its own, not one that was hashed before.
  const paths = requests.map(({ path }) => Buffer.from(path, 'latin1').toString('latin1'));
  const hosts = requests.map(({ host }) => Buffer.from(host, 'latin1').toString('latin1'));
  let found = 0;
  const start = process.hrtime.bigint();
  for (let i = 0; i < paths.length; i++) {
    if (find(hosts[i] as string, paths[i] as string) !== undefined) found++;
  }
  const taken = Number(process.hrtime.bigint() - start);
  if (found !== requests.length) throw new Error(`${found} of ${requests.length} requests found a rule`);
  return taken / requests.length;
}
