import type { Allowed, Decision, Denied } from '../model/decision.js';
import { type Denial, denial, ERRORS } from '../model/errors.js';
import type { Content, HeaderMutations, MutatorChain, Session } from '../model/mutator.js';
import type { PathRewrite, Rule, RuleTable } from '../model/rule.js';
import type { AccessStrategy, Outcome, RequestContext, Services } from '../model/strategy.js';
import { type Fields, hasBody } from '../parse/fields.js';
import type { BodyReader } from '../parse/form.js';
import { MARK, readings, type Target } from '../parse/target.js';
import { type TokenSource, withoutParameter } from '../parse/token.js';
import { mutate } from './mutators/chain.js';
import { clientConnection } from './mutators/client-connection.js';
import { holdsSecond } from './strategies/second-credential.js';

/** One request to decide about, with the rules and services that the decision needs. */
export interface DecisionRequest extends RequestContext {
  readonly table: RuleTable;
  readonly services: Services;
}

/**
 * Decides about one request. The proxy listener, forward-auth, `explain` and `test` all call this function,
 * so that they cannot disagree. Synchronous unless an access strategy or a mutator must wait.
 *
 * @returns the decision; if a strategy or mutator throws, this function throws or its promise rejects
 */
export function decide(request: DecisionRequest): Decision | Promise<Decision> {
  const { table, method, target } = request;
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
  const sentPath = found.rewrite === undefined ? undefined : rewritten(path, found.rewrite);
  if (sentPath === null) {
    return malformed('the path does not begin with the prefix that its rule strips', found);
  }
  const decision = attempt(request, found, path, 0);
  return decision instanceof Promise
    ? decision.then((settled) => finished(settled, found, path, sentPath, request))
    : finished(decision, found, path, sentPath, request);
}

/**
 * The path to send upstream.
 *
 * @returns null if it would not be canonical: the path does not begin with the segments to strip, or what is
 *   left begins with `//`, which a URI resolver reads as a host
 */
function rewritten(path: string, { strip, base }: PathRewrite): string | null {
  if (!startsWithin(path, strip)) return null;
  const sent = base + path.slice(strip.length) || '/';
  return sent.startsWith('//') ? null : sent;
}

/** Whether a path begins with these segments. */
function startsWithin(path: string, segments: string): boolean {
  return path.startsWith(segments) && (path.length === segments.length || path[segments.length] === '/');
}

/**
 * Completes a decision. It adds the path to send. If the rule only observes, it lets the request pass. If the
 * request is denied, it adds the response of the rule's error handlers.
 */
function finished(
  decision: Decision,
  rule: Rule,
  path: string,
  sentPath: string | undefined,
  request: DecisionRequest,
): Decision {
  const sent = sentPath === undefined ? {} : { sentPath };
  if (decision.allowed) return sentPath === undefined ? decision : { ...decision, ...sent };
  // `explain` and `test` show the decision, whether it is enforced or not.
  if (rule.observes === true && request.services.forwards !== false) {
    const { denial: wouldDeny, subject = { subject: '' }, introspection } = decision;
    const traced = introspection === undefined ? {} : { introspection };
    const observed: Allowed = { allowed: true, rule, path, ...sent, subject, ...traced, wouldDeny };
    return withoutStatements(observed, request.target.query);
  }
  const { code } = ERRORS[decision.denial.error];
  const handler = rule.errors?.find((each) => each.handles(code, request.fields));
  const answer = handler?.answer(request, rule);
  return answer === undefined ? decision : { ...decision, denial: { ...decision.denial, answer } };
}

/**
 * Checks every way in which the upstream may read the path: with its escapes decoded, or exactly as the
 * client sent it. Each reading must lead to the rule that was matched. Otherwise another rule protects what
 * the upstream would serve.
 *
 * @param found the rule that the canonical path matches
 * @returns the path to send upstream, or the refusal
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
      return malformed('the path can be interpreted as another path, which another rule protects', found);
    }
    // If this reading does not begin with the segments to strip, the upstream would get a path that nobody
    // has checked.
    if (found.rewrite !== undefined && !startsWithin(reading, found.rewrite.strip)) {
      return malformed(
        'the path can be interpreted as another path, from which its rule strips no prefix',
        found,
      );
    }
  }
  return keep ? (target.unmerged as string) : target.path;
}

function malformed(reason: string, rule: Rule | undefined): Denied {
  return { allowed: false, denial: denial('malformed_target', reason), rule };
}

/**
 * Asks the rule's access strategies in order. The first one that finds its credential decides.
 *
 * @param from the index of the first strategy to ask
 * @param passed the denial of the last strategy that passed
 */
function attempt(
  request: DecisionRequest,
  rule: Rule,
  path: string,
  from: number,
  passed?: Denial,
): Decision | Promise<Decision> {
  for (let i = from; i < rule.strategies.length; i++) {
    const outcome = (rule.strategies[i] as AccessStrategy).authenticate(request, request.services);
    if (outcome instanceof Promise) {
      return outcome.then((settled) =>
        settled.kind === 'pass'
          ? attempt(request, rule, path, i + 1, settled.denial ?? passed)
          : alone(request, settled, rule, i, path),
      );
    }
    if (outcome.kind !== 'pass') return alone(request, outcome, rule, i, path);
    passed = outcome.denial ?? passed;
  }
  const scopes = rule.strategies.flatMap((strategy) => strategy.requiredScopes);
  const refused = passed ?? denial('no_token', 'the request carries no bearer token', { scopes });
  return { allowed: false, rule, denial: referred(refused, rule, request) };
}

/** Adds to a refusal what the challenge needs: how to use DPoP, and the URL of the resource's metadata. */
function referred(refused: Denial, rule: Rule, { table: { resources }, target }: DecisionRequest): Denial {
  const dpop = rule.strategies.find(({ binding }) => binding?.dpop !== undefined)?.binding?.dpop;
  // The metadata tells the client how to get a token (RFC 9728 §5.1).
  const metadata = resources?.metadataOf(target.host, target.path);
  if (dpop === undefined && metadata === undefined) return refused;
  return {
    ...refused,
    ...(dpop === undefined ? {} : { dpop }),
    ...(metadata === undefined ? {} : { resourceMetadata: metadata }),
  };
}

/**
 * Refuses an allowed request that carries a second credential, in a place where another access strategy of
 * its rule would have read it.
 *
 * @param decider the index of the strategy that decided
 */
function alone(
  request: DecisionRequest,
  outcome: Exclude<Outcome, { kind: 'pass' }>,
  rule: Rule,
  decider: number,
  path: string,
): Decision | Promise<Decision> {
  if (outcome.kind === 'deny') return conclude(request, outcome, rule, decider, path);
  const settle = (second: boolean): Decision | Promise<Decision> => {
    if (!second) return conclude(request, outcome, rule, decider, path);
    const { subject, introspection } = outcome;
    // The deciding strategy needs no credential, so the one in the request is the only one, and no strategy
    // of the rule accepts it.
    const refused =
      rule.strategies[decider]?.needsNoCredential === true
        ? denial('invalid_token', 'no access strategy of the rule accepts this credential')
        : denial('invalid_request', 'the request carries more than one token');
    const denied = { kind: 'deny', denial: refused, subject, introspection } as const;
    return conclude(request, denied, rule, decider, path);
  };
  const second = holdsSecond(rule.strategies, decider, request);
  return second instanceof Promise ? second.then(settle) : settle(second);
}

/**
 * Builds the decision from the result of an access strategy.
 *
 * @param decider the index of that strategy
 */
function conclude(
  request: DecisionRequest,
  outcome: Exclude<Outcome, { kind: 'pass' }>,
  rule: Rule,
  decider: number,
  path: string,
): Decision | Promise<Decision> {
  if (outcome.kind === 'deny') {
    const { subject, introspection } = outcome;
    return {
      allowed: false,
      rule,
      subject,
      introspection,
      denial: referred(outcome.denial, rule, request),
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
  if (rule.mutators === undefined) return allowed;
  const offline = request.services.forwards === false;
  if (offline && !rule.mutators.mutators.some((mutator) => mutator.offline === true)) return allowed;
  return change(allowed, rule.mutators, rule.strategies[decider] as AccessStrategy, request);
}

/**
 * Removes from a request that is only let through by a dry run what the rule removes from an allowed one: tokens
 * that are not forwarded, and the client's copies of what mutators set. A client could otherwise state in
 * `Authorization` what the gateway's own token states.
 */
function withoutStatements(observed: Allowed, query: string): Allowed {
  const { strategies, mutators } = observed.rule;
  const removals = strategies.flatMap(({ removal }) => removal ?? []);
  const sources = strategies.flatMap(({ tokenSources }) => tokenSources ?? []);
  const shaped = sources.length === 0 ? observed : withoutToken(observed, sources, query);
  return {
    ...shaped,
    ...(removals.length === 0
      ? {}
      : {
          removal: {
            headers: new Set(removals.flatMap(({ headers }) => [...headers])),
            cookies: new Set(removals.flatMap(({ cookies }) => [...cookies])),
          },
        }),
    ...(mutators === undefined ? {} : { mutations: { replaced: mutators.writes, headers: [], cookies: [] } }),
  };
}

/**
 * Removes the token from the query, so that it does not go upstream. The response is then private (RFC 6750
 * §2.3).
 */
function withoutToken(allowed: Allowed, sources: readonly TokenSource[], query: string): Allowed {
  let kept = query;
  for (const source of sources) {
    if ('query_parameter' in source) kept = withoutParameter(kept, source.query_parameter);
  }
  return kept === query ? allowed : { ...allowed, query: kept };
}

/**
 * Runs the rule's mutators for an allowed request. If one fails, the request is refused: the upstream relies
 * on what it sets.
 */
function change(
  allowed: Allowed,
  mutators: MutatorChain,
  strategy: AccessStrategy,
  request: DecisionRequest,
): Decision | Promise<Decision> {
  const { method, target, fields, services, body } = request;
  const { rule, path, subject, introspection } = allowed;
  const content = body === undefined || !hasBody(fields) ? undefined : contentOf(fields, body);
  const client = clientConnection(request, services);
  const match = {
    method,
    host: target.host,
    path,
    query: allowed.query ?? target.query,
    rawHeaders: fields.raw,
    pattern: rule.pattern,
    ...(content === undefined ? {} : { content }),
    ...(client === undefined ? {} : { client }),
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
  const { claims = {} } = subject;
  const session: Session = {
    subject: subject.subject,
    extra: strategy.extra?.(subject) ?? claims,
    claims,
    match,
    headers: new Map(),
    cookies: new Map(),
  };
  const mutated = mutate(mutators, session, services);
  return mutated instanceof Promise ? mutated.then(settle) : settle(mutated);
}

/**
 * The request body, for mutators and authorizers. If the client waits for 100 (Continue) before it sends the
 * body, the length counts as unknown, so that they do not read it.
 */
function contentOf({ contentLength, expectsContinue }: Fields, body: BodyReader): Content {
  return {
    length: expectsContinue ? undefined : contentLength,
    read: (length) => body.readBody(length),
  };
}
