import type { AuditEntry } from '../observe/audit.js';

/** A recent decision. */
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
  /**
   * The decisions after a number, the oldest first.
   *
   * @param seq the last number that the caller has
   */
  after(seq: number): RecentDecision[];
}

/** Characters of a text that are kept; a subject can be as long as the authorization server likes. */
const MOST = 1_024;
const TEXTS = ['requestId', 'method', 'host', 'path', 'reason', 'subject', 'clientId'] as const;

/**
 * Builds a buffer of the last decisions. Requests that were allowed and succeeded have their own ring buffer,
 * so that they do not displace the few that were denied, would be denied or failed.
 *
 * @param size the most decisions in each ring buffer
 * @param now returns milliseconds since 1970
 */
export function createRecent(size: number, now: () => number): Recent {
  const rings = { allow: [] as RecentDecision[], deny: [] as RecentDecision[] };
  const places = { allow: 0, deny: 0 };
  let seq = 0;
  return {
    add(entry) {
      const failed = entry.error !== undefined || entry.cause !== undefined || entry.status >= 500;
      const kind = failed || entry.wouldDeny !== undefined ? 'deny' : entry.decision;
      rings[kind][places[kind]++ % size] = { seq: ++seq, at: now(), entry: bounded(entry) };
    },
    after: (last) =>
      [...rings.allow, ...rings.deny].filter((each) => each.seq > last).sort((a, b) => a.seq - b.seq),
  };
}

/** The entry with its strings cut to a maximum length; nearly always the same object. */
function bounded(entry: AuditEntry): AuditEntry {
  const long = TEXTS.filter((name) => (entry[name]?.length ?? 0) > MOST);
  if (long.length === 0) return entry;
  return { ...entry, ...Object.fromEntries(long.map((name) => [name, cut(entry[name] as string)])) };
}

/** The beginning of a string, as a copy: a substring would keep the whole string in memory. */
function cut(text: string): string {
  return `${Buffer.from(text.slice(0, MOST)).toString()}…`;
}
