import type { ErrorHandler } from './error-handler.js';
import type { HeaderRemoval, MutatorChain } from './mutator.js';
import type { AccessStrategy } from './strategy.js';
import type { Upstream } from './upstream.js';

/** A rule's CORS policy (the Fetch standard's CORS protocol). */
export interface CorsPolicy {
  /**
   * Whether scopegate answers preflights. False for an APIRule of version 2 without a policy: scopegate then
   * only removes the upstream's CORS fields.
   */
  readonly answers: boolean;
  readonly allowsOrigin: (origin: string) => boolean;
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly exposed: readonly string[];
  readonly credentials: boolean;
  /** Seconds for which a browser may cache the response to a preflight. */
  readonly maxAge: number | undefined;
}

/**
 * What request paths may contain beyond the strict default (docs/paths.md). Each is off unless the rule
 * allows it.
 */
export interface PathAllowances {
  /** `%2F` inside a segment is accepted and kept. */
  readonly encodedSlash: boolean;
  /** `%25` is accepted and kept. */
  readonly encodedPercent: boolean;
  /** `;` and what follows it in a segment is accepted and kept. */
  readonly semicolon: boolean;
  /** Empty segments (`//`) are kept instead of merged. */
  readonly emptySegments: boolean;
}

/** How scopegate makes the path for the upstream from the path that the rule matched. */
export interface PathRewrite {
  /** Removed from the beginning of the path; whole segments. Empty for nothing. */
  readonly strip: string;
  /** Put before what is left. Empty for nothing. */
  readonly base: string;
}

/** One compiled rule: one element of an APIRule's `spec.rules`. */
export interface Rule {
  /** `namespace/name#index`, unique in a table. */
  readonly id: string;
  /** Its place in the rule file, `file:line:col`. */
  readonly source: string;
  /** Lower-case, without port: exact names or `*.suffix`. */
  readonly hosts: readonly string[];
  /** Upper case; compared exactly. */
  readonly methods: readonly string[];
  /** The path's regular expression as written. */
  readonly path: string;
  /** The same expression, compiled to match a whole canonical path. */
  readonly pattern: RegExp;
  /** In order. The first one that finds its credential in the request decides. */
  readonly strategies: readonly AccessStrategy[];
  /** The names of its authorizers, which are the first of `mutators`. Absent if there are none. */
  readonly authorizers?: readonly string[];
  /** The authorizers and mutators. Undefined if the rule has none. */
  readonly mutators?: MutatorChain;
  /** Undefined if scopegate leaves CORS to the upstream. */
  readonly cors?: CorsPolicy;
  readonly upstream: Upstream;
  /** The longest wait for the upstream's response to begin, in milliseconds. */
  readonly timeout: number;
  readonly allows: PathAllowances;
  /** Undefined if the matched path is sent as it is. */
  readonly rewrite?: PathRewrite;
  /** Whether the upstream gets the request's Host. If undefined, the setting `forward.host` says so. */
  readonly preserveHost?: boolean;
  /**
   * The error handlers, of which the first one that handles a refusal answers it. Absent: JSON and a
   * challenge.
   */
  readonly errors?: readonly ErrorHandler[];
  /** Whether every request passes, although decisions are made, counted and logged. */
  readonly observes?: true;
  /**
   * Whether the rule's upstream is a revocation endpoint (RFC 7009), so that forwarded requests invalidate
   * cached answers.
   */
  readonly revokes?: true;
  /** A document that scopegate serves instead of forwarding, if the rule publishes one. */
  readonly document?: Document;
}

/** A public document that scopegate serves. */
export interface Document {
  readonly text: string;
  /** Header fields of the response: name, value, name, value … */
  readonly fields: readonly string[];
}

/** The protected resources whose metadata scopegate publishes (RFC 9728). */
export interface ResourceIndex {
  /**
   * Finds the metadata of the innermost resource that contains a path.
   *
   * @param host lower case, without port
   * @param path canonical
   * @returns the URL of the metadata; undefined if no resource contains the path
   */
  metadataOf(host: string, path: string): string | undefined;
}

/** The results of the overlap analysis, for people. */
export interface OverlapSummary {
  /** Rules that match a part of another rule's requests and decide those instead of it. */
  readonly specific: readonly string[];
  /**
   * Pairs of rules that may overlap, because the analysis could not prove that they do not, and that the
   * settings accept. A request that both match is refused.
   */
  readonly unproved: readonly (readonly [string, string])[];
  /**
   * Each rule of {@link specific} with each rule directly around it. Absent if there are too many pairs to tell.
   */
  readonly inside?: readonly (readonly [inner: string, outer: string])[];
}

/**
 * A compiled set of rules that the overlap analysis has accepted. The order of rules never matters: at most
 * one rule decides a request.
 */
export interface RuleTable {
  /** Grows with every reload. */
  readonly version: number;
  readonly rules: readonly Rule[];
  readonly overlaps?: OverlapSummary;
  /**
   * The header fields and cookies that mutators of any rule write. scopegate removes the client's copies on
   * every rule. Undefined if no rule has mutators.
   */
  readonly reservedHeaders?: HeaderRemoval;
  /** Undefined if no metadata is published. */
  readonly resources?: ResourceIndex;
  /**
   * Finds the rule for a request.
   *
   * @param host lower case, without port
   * @param method compared exactly
   * @param path canonical
   * @returns undefined if no rule matches, or if two match and neither is proved more specific
   */
  find(host: string, method: string, path: string): Rule | undefined;
}
