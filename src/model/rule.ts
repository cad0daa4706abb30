import type { HeaderRemoval, MutatorChain } from './mutator.js';
import type { AccessStrategy } from './strategy.js';
import type { Upstream } from './upstream.js';

/** A rule's policy about pages of other origins (the Fetch standard's CORS protocol). */
export interface CorsPolicy {
  /**
   * Whether preflights are answered here. Without a policy of its own, an APIRule of version 2 only takes the
   * upstream's CORS fields away.
   */
  readonly answers: boolean;
  readonly allowsOrigin: (origin: string) => boolean;
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposed: readonly string[];
  readonly credentials: boolean;
  /** Seconds a browser may remember a preflight's answer. */
  readonly maxAge: number | undefined;
}

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
  /** Undefined where it has no mutators. */
  readonly mutators?: MutatorChain;
  /** Undefined where pages of other origins are the upstream's own affair. */
  readonly cors?: CorsPolicy;
  readonly upstream: Upstream;
  /** The longest wait for the upstream's answer to begin, in milliseconds. */
  readonly timeout: number;
  readonly allows: PathAllowances;
  /** Whether what passes here to the authorization server revokes tokens (RFC 7009). */
  readonly revokes?: true;
  /** What the gateway itself answers with in place of the upstream, where the rule publishes something. */
  readonly document?: Document;
}

/** A public document that the gateway serves. */
export interface Document {
  readonly text: string;
  /** Header fields: name, value, name, value … */
  readonly fields: readonly string[];
}

/** The protected resources whose metadata is published (RFC 9728). */
export interface ResourceIndex {
  /** The URL of the metadata of the innermost resource that holds a canonical path; undefined where none does. */
  metadataOf(host: string, path: string): string | undefined;
}

/** What was proved about a set of rules, for people. */
export interface OverlapSummary {
  /** Rules that lie inside others, and answer there in their place. */
  readonly specific: readonly string[];
  /** Pairs of which nothing could be proved and that were accepted; a request that both match is answered by neither. */
  readonly unproved: readonly (readonly [string, string])[];
}

/** A compiled, proven set of rules. Order never decides: at most one rule answers for a request. */
export interface RuleTable {
  /** Grows with every set that is put in place. */
  readonly version: number;
  readonly rules: readonly Rule[];
  readonly overlaps?: OverlapSummary;
  /** What the mutators of all rules write, which no client may; undefined where there are none. */
  readonly reservedHeaders?: HeaderRemoval;
  /** Undefined where no metadata is published. */
  readonly resources?: ResourceIndex;
  /** The one rule for a host (lower-case, no port), an exact method and a canonical path. */
  find(host: string, method: string, path: string): Rule | undefined;
}
