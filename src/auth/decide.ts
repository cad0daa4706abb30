import type { CorsPolicy } from '../listener/cors.js';
import { type Denial, denial } from '../model/errors.js';
import type { HeaderMutations, HeaderRemoval } from '../model/header-changes.js';
import type { Upstream } from '../model/upstream.js';
import type { Fields } from '../parse/fields.js';
import type { BodyReader } from '../parse/form.js';
import type { Peer } from '../parse/peer.js';
import { MARK, readings, type Target } from '../parse/target.js';
import { type TokenSource, withoutParameter } from '../parse/token.js';
import type { IntrospectionTrace } from './introspection/introspector.js';
import { type MutatorChain, mutate } from './mutators/chain.js';
import { holdsSecond } from './strategies/second.js';
import type { AccessStrategy, Outcome, RequestContext, Services, Subject } from './strategies/strategy.js';

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

/** The one decision about a request. */
export type Decision = Allowed | Denied;

/** The request may go to its rule's upstream. */
export interface Allowed {
  readonly allowed: true;
  readonly rule: Rule;
  /** The path to send: the very one that was matched. */
  readonly path: string;
  /**
   * The query to send, where it is not the one that came: a token was taken out of it. The answer is then private
   * (RFC 6750 §2.3).
   */
  readonly query?: string;
  readonly subject: Subject;
  readonly introspection?: IntrospectionTrace;
  /** The nonce for the client's next DPoP proof, for the answer (RFC 9449 §8.2). */
  readonly nonce?: string;
  /** What of the request does not go upstream: the places of its token, where the rule says so. */
  readonly removal?: HeaderRemoval;
  /** What the rule's mutators made of the request; undefined where it has none, or nothing is forwarded. */
  readonly mutations?: HeaderMutations;
}

/** The request is refused, with a row of the error table. */
export interface Denied {
  readonly allowed: false;
  readonly denial: Denial;
  /** Undefined where no rule matched. */
  readonly rule?: Rule | undefined;
  /** Whom the refused token was for, if it was understood. */
  readonly subject?: Subject | undefined;
  readonly introspection?: IntrospectionTrace | undefined;
}

/**
 * Decides about one request. The proxy, the decisions endpoint, `explain` and `test` all ask this function, so they
 * cannot disagree. Synchronous unless the authorization server must be asked.
 *
 * @param method exactly as received: methods are case-sensitive (RFC 9110 §9.1)
 * @param peer who sent it; undefined where nobody did
 * @param scheme of a request that a proxy describes, with the host that is in `fields`
 * @param body undefined where nobody can look into it
 */
export function decide(
  table: RuleTable,
  method: string,
  target: Target,
  fields: Fields,
  services: Services,
  peer?: Peer,
  scheme?: string,
  body?: BodyReader,
): Decision | Promise<Decision> {
  const found = table.find(target.host, method, target.path);
  let path = target.path;
  if (target.marks !== 0 || target.escaped || target.unmerged !== undefined || target.asSent !== undefined) {
    const resolved = resolvePath(table, method, target, found);
    if (typeof resolved !== 'string') return resolved;
    path = resolved;
  }
  if (found === undefined) {
    return { allowed: false, denial: denial('no_rule', 'no rule for this host, method and path') };
  }
  return attempt(table, found, path, { method, target, fields, peer, scheme, body }, services, 0);
}

/**
 * Whatever a path's escapes may mean to the upstream, and whatever it makes of a path that is sent as it came, each meaning must lead to the rule that was matched; else the
 * rule that was matched is not the one that protects what the upstream serves.
 *
 * @returns the path to send, or the refusal
 */
function resolvePath(
  table: RuleTable,
  method: string,
  target: Target,
  found: Rule | undefined,
): string | Denied {
  if (target.marks !== 0) {
    const allows = found?.allows;
    const unallowed =
      ((target.marks & MARK.encodedSlash) !== 0 && allows?.encodedSlash !== true) ||
      ((target.marks & MARK.encodedPercent) !== 0 && allows?.encodedPercent !== true) ||
      ((target.marks & MARK.semicolon) !== 0 && allows?.semicolon !== true);
    if (unallowed) {
      return malformed('the path contains "%2F", "%25" or ";", which its rule does not allow', found);
    }
  }
  if (found === undefined) return target.path;
  const keep = target.unmerged !== undefined && found.allows.emptySegments;
  const { asSent } = target;
  const others = readings(target, keep || asSent !== undefined);
  if (asSent !== undefined) others.push(asSent);
  for (const reading of others) {
    if (reading === undefined || table.find(target.host, method, reading) !== found) {
      return malformed('the path can be read as one that another rule protects', found);
    }
  }
  return keep ? (target.unmerged as string) : target.path;
}

function malformed(reason: string, rule: Rule | undefined): Denied {
  return { allowed: false, denial: denial('malformed_target', reason), rule };
}

/** Asks the rule's access strategies in order from the `from`-th on; the first responsible one is final. */
function attempt(
  table: RuleTable,
  rule: Rule,
  path: string,
  request: RequestContext,
  services: Services,
  from: number,
  passed?: Denial,
): Decision | Promise<Decision> {
  for (let i = from; i < rule.strategies.length; i++) {
    const outcome = (rule.strategies[i] as AccessStrategy).authenticate(request, services);
    if (outcome instanceof Promise) {
      return outcome.then((settled) =>
        settled.kind === 'pass'
          ? attempt(table, rule, path, request, services, i + 1, settled.denial ?? passed)
          : alone(table, settled, rule, i, path, request, services),
      );
    }
    if (outcome.kind !== 'pass') return alone(table, outcome, rule, i, path, request, services);
    passed = outcome.denial ?? passed;
  }
  const scopes = rule.strategies.flatMap((strategy) => strategy.requiredScopes);
  const refused = passed ?? denial('no_token', 'the request carries no bearer token', { scopes });
  return { allowed: false, rule, denial: referred(refused, table, rule, request) };
}

/** The refusal, with what the rule and the table add to its challenge. */
function referred(refused: Denial, { resources }: RuleTable, rule: Rule, { target }: RequestContext): Denial {
  const dpop = rule.strategies.find(({ binding }) => binding?.dpop !== undefined)?.binding?.dpop;
  // Tells the client where it learns how to get a token (RFC 9728 §5.1).
  const metadata = resources?.metadataOf(target.host, target.path);
  if (dpop === undefined && metadata === undefined) return refused;
  return {
    ...refused,
    ...(dpop === undefined ? {} : { dpop }),
    ...(metadata === undefined ? {} : { resourceMetadata: metadata }),
  };
}

/**
 * Concludes, unless an allowed request holds a second credential where another strategy of its rule would have read it.
 *
 * @param decider the index of the strategy whose outcome it is
 */
function alone(
  table: RuleTable,
  outcome: Exclude<Outcome, { kind: 'pass' }>,
  rule: Rule,
  decider: number,
  path: string,
  request: RequestContext,
  services: Services,
): Decision | Promise<Decision> {
  const settle = (second: boolean): Decision | Promise<Decision> => {
    const { subject, introspection } = outcome;
    const refused = denial('invalid_request', 'the request carries more than one token');
    return conclude(
      table,
      second ? { kind: 'deny', denial: refused, subject, introspection } : outcome,
      rule,
      decider,
      path,
      request,
      services,
    );
  };
  const second = outcome.kind === 'allow' && holdsSecond(rule.strategies, decider, request);
  return second instanceof Promise ? second.then(settle) : settle(second);
}

/** @param decider the index of the strategy whose outcome it is */
function conclude(
  table: RuleTable,
  outcome: Exclude<Outcome, { kind: 'pass' }>,
  rule: Rule,
  decider: number,
  path: string,
  request: RequestContext,
  services: Services,
): Decision | Promise<Decision> {
  if (outcome.kind === 'deny') {
    const { subject, introspection } = outcome;
    return {
      allowed: false,
      rule,
      subject,
      introspection,
      denial: referred(outcome.denial, table, rule, request),
    };
  }
  const { subject, introspection, nonce } = outcome;
  let allowed: Allowed =
    introspection === undefined
      ? { allowed: true, rule, path, subject }
      : { allowed: true, rule, path, subject, introspection };
  if (nonce !== undefined) allowed = { ...allowed, nonce };
  const { tokenSources, removal } = rule.strategies[decider] as AccessStrategy;
  if (removal !== undefined) allowed = { ...allowed, removal };
  if (tokenSources !== undefined) allowed = withoutToken(allowed, tokenSources, request.target.query);
  if (rule.mutators === undefined || services.forwards === false) return allowed;
  return change(allowed, rule.mutators, request, services);
}

/** A token in the query does not go upstream; an answer to such a request is private (RFC 6750 §2.3). */
function withoutToken(allowed: Allowed, sources: readonly TokenSource[], query: string): Allowed {
  let kept = query;
  for (const source of sources) {
    if ('query_parameter' in source) kept = withoutParameter(kept, source.query_parameter);
  }
  return kept === query ? allowed : { ...allowed, query: kept };
}

/** Sends an allowed request through its rule's mutators; what they cannot do, the upstream must not miss. */
function change(
  allowed: Allowed,
  mutators: MutatorChain,
  { method, target, fields }: RequestContext,
  services: Services,
): Decision | Promise<Decision> {
  const { rule, path, subject, introspection } = allowed;
  const match = {
    method,
    host: target.host,
    path,
    query: allowed.query ?? target.query,
    rawHeaders: fields.raw,
    pattern: rule.pattern,
  };
  const settle = (mutations: HeaderMutations | Denial): Decision =>
    'error' in mutations
      ? {
          allowed: false,
          rule,
          denial: mutations,
          subject,
          introspection,
        }
      : { ...allowed, mutations };
  const mutated = mutate(mutators, subject.subject, subject.claims ?? {}, match, services);
  return mutated instanceof Promise ? mutated.then(settle) : settle(mutated);
}
