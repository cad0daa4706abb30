import type { AccessStrategy } from './handlers/strategy.js';
import type { Upstream } from './forward/upstream.js';

/** What a rule's path may contain beyond the strict default (docs/paths.md); every one is off unless the rule says so. */
export interface PathAllowances {
  /** `%2F` inside a segment is kept as it is. */
  readonly encodedSlash: boolean;
  /** `%25` is kept as it is. */
  readonly encodedPercent: boolean;
  /** `;` and what follows it in a segment is kept as it is. */
  readonly semicolon: boolean;
  /** Empty segments (`//`) are kept instead of merged. */
  readonly emptySegments: boolean;
}

/** One rule, compiled: one element of an APIRule's `spec.rules`. */
export interface Rule {
  /** `namespace/name#index`, unique in a table. */
  readonly id: string;
  /** Where it was written, `file:line:col`. */
  readonly source: string;
  /** Lower-case, without port: exact names or `*.suffix`. */
  readonly hosts: readonly string[];
  /** Upper-case as written; exact. */
  readonly methods: readonly string[];
  /** The path's regular expression as written. */
  readonly path: string;
  /** The same, compiled to match a whole canonical path. */
  readonly pattern: RegExp;
  /** In order; the first responsible one decides. */
  readonly strategies: readonly AccessStrategy[];
  readonly upstream: Upstream;
  /** The longest wait for the upstream's answer to begin, in milliseconds. */
  readonly timeout: number;
  readonly allows: PathAllowances;
}

/** A compiled, proven set of rules. Order never decides: at most one rule answers for a request. */
export interface RuleTable {
  /** Grows with every set that is put in place. */
  readonly version: number;
  readonly rules: readonly Rule[];
  /** The one rule for a host (lower-case, no port), an exact method and a canonical path. */
  find(host: string, method: string, path: string): Rule | undefined;
}
