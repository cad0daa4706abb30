import type { ErrorName } from '../model/errors.js';
import { METHODS } from '../model/methods.js';
import type { AuditEntry, Entrance } from './audit.js';

/** The counts of one rule. */
export class Tally {
  /** Finished requests, by {@link keyOf}. */
  readonly requests = new Map<number, number>();
  readonly denials = new Map<ErrorName, number>();
  /** Requests that passed because the rule only observes, by the error with which they would be denied. */
  readonly wouldDeny = new Map<ErrorName, number>();
  allowed = 0;
  denied = 0;
  /** The number of finished requests that were admitted. */
  count = 0;
  /** Their total duration. */
  seconds = 0;
}

/**
 * The index of all other methods together. A series for each method would let any client fill the memory of
 * the Prometheus server.
 */
const OTHER_METHOD = METHODS.length;

const ENTRANCES: readonly Entrance[] = ['proxy', 'decisions', 'fastify'];

/**
 * Encodes the labels of a request's series in one number, so that no request has to build or hash a string.
 */
export function keyOf({
  entrance,
  method,
  decision,
  status,
}: Pick<AuditEntry, 'entrance' | 'method' | 'decision' | 'status'>): number {
  const listed = METHODS.indexOf(method);
  const place = listed === -1 ? OTHER_METHOD : listed;
  const bits = (ENTRANCES.indexOf(entrance) * 8 + place) * 2 + (decision === 'allow' ? 0 : 1);
  return bits * 1024 + (status & 1023);
}

/** Decodes the labels that {@link keyOf} has encoded. */
export function labelsOf(key: number): Record<string, string> {
  const bits = Math.floor(key / 1024);
  return {
    entrance: ENTRANCES[bits >> 4] as string,
    method: METHODS[(bits >> 1) & 7] ?? 'other',
    decision: (bits & 1) === 0 ? 'allow' : 'deny',
    status: String(key % 1024),
  };
}
