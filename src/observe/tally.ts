import type { ErrorName } from '../model/errors.js';
import { METHODS } from '../model/methods.js';
import type { AuditEntry, Entrance } from './audit.js';

/** What is counted for one rule. */
export class Tally {
  /** By {@link keyOf}. */
  readonly requests = new Map<number, number>();
  readonly denials = new Map<ErrorName, number>();
  allowed = 0;
  denied = 0;
  /** Of requests that were let in. */
  count = 0;
  /** All that those took. */
  seconds = 0;
}

/** Of all other methods together: a series for each would let anybody fill the memory of whoever scrapes. */
const OTHER_METHOD = METHODS.length;

const ENTRANCES: readonly Entrance[] = ['proxy', 'decisions'];

/** One number for what a request's series is told apart by: no text is made or hashed on the way of a request. */
export function keyOf({
  entrance,
  method,
  decision,
  status,
}: Pick<AuditEntry, 'entrance' | 'method' | 'decision' | 'status'>): number {
  const listed = METHODS.indexOf(method);
  const place = listed === -1 ? OTHER_METHOD : listed;
  const bits = ((entrance === 'proxy' ? 0 : 1) * 8 + place) * 2 + (decision === 'allow' ? 0 : 1);
  return bits * 1024 + (status & 1023);
}

/** The labels that {@link keyOf} put into a number. */
export function labelsOf(key: number): Record<string, string> {
  const bits = Math.floor(key / 1024);
  return {
    entrance: ENTRANCES[bits >> 4] as string,
    method: METHODS[(bits >> 1) & 7] ?? 'other',
    decision: (bits & 1) === 0 ? 'allow' : 'deny',
    status: String(key % 1024),
  };
}
