import type { AuditEntry } from '../observe/audit.js';

/** A decision that was made a short while ago. */
export interface RecentDecision {
  /** Counts up from 1. */
  readonly seq: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly entry: AuditEntry;
}

/** The last decisions, for the admin page. */
export interface Recent {
  add(entry: AuditEntry): void;
  /** Those after a number, oldest first. */
  after(seq: number): RecentDecision[];
}

/**
 * Builds a memory of the last decisions: so many allowed ones and so many denied ones, each in a ring of its own, so
 * that the many that are allowed do not push out the few that are not.
 *
 * @param now milliseconds since 1970
 */
export function createRecent(size: number, now: () => number): Recent {
  const rings = { allow: [] as RecentDecision[], deny: [] as RecentDecision[] };
  const places = { allow: 0, deny: 0 };
  let seq = 0;
  return {
    add(entry) {
      const ring = rings[entry.decision];
      ring[places[entry.decision]++ % size] = { seq: ++seq, at: now(), entry };
    },
    after: (last) =>
      [...rings.allow, ...rings.deny].filter((each) => each.seq > last).sort((a, b) => a.seq - b.seq),
  };
}
