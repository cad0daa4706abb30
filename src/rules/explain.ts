import { decide } from '../auth/decide.js';
import type { Decision } from '../model/decision.js';
import { denial, ERRORS } from '../model/errors.js';
import type { ActiveAnswer } from '../model/introspection.js';
import { type JsonObject, membersOf } from '../model/json.js';
import type { Reply } from '../model/outbound.js';
import type { Rule, RuleTable } from '../model/rule.js';
import type { Services } from '../model/strategy.js';
import { readFields } from '../parse/fields.js';
import { canonicalTarget, type Target } from '../parse/target.js';
import { holdHost } from './table/hosts.js';

/** A hypothetical request, and the token that it would carry. */
export interface Question {
  /** The method as in a request line. */
  readonly method: string;
  /** `https://host/path?query`, taken literally: only the gateway itself normalizes it. */
  readonly url: string;
  /** The introspection answer for the token; undefined for a request without a token. */
  readonly token?: TokenClaims;
  /** The session of the request's cookie; undefined for a request without such a cookie. */
  readonly session?: HypotheticalSession;
}

/** The claims of a token that is active and not expired. */
export interface TokenClaims {
  readonly scopes?: readonly string[];
  readonly audience?: readonly string[];
  readonly issuer?: string;
  readonly subject?: string;
  readonly clientId?: string;
  /** Further claims, such as `acr`. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

/** A session cookie, and what the session store answers about it. */
export interface HypotheticalSession {
  /** Whether the store knows a session for the cookie. If not, it answers 401. */
  readonly active: boolean;
  /** The cookie's name; if undefined, the first that the rule's `cookie_session` looks for. */
  readonly cookie?: string;
  readonly subject?: string;
  /** What mutators and authorizers read as `.Extra`. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** How far a request got in matching one rule. */
export interface Candidate {
  readonly rule: Rule;
  /** The first check that failed; `none` if all passed. */
  readonly failed: 'host' | 'method' | 'path' | 'overridden' | 'contested' | 'decision' | 'none';
}

/** What the gateway would do with a request, and the reason. */
export interface Explanation {
  /** The canonical target; undefined if the target was refused. */
  readonly target?: Target;
  readonly decision: Decision;
  /** The status that the client would get; 200 means any response of the upstream. */
  readonly status: number;
  /** All rules, in the order in which they were loaded. */
  readonly candidates: readonly Candidate[];
}

const ABSOLUTE = /^https?:\/\/([^/?#]+)(.*)$/i;
/** The value of a session cookie. */
const SESSION = 'the-session-in-question';
/** It has the form of a JWT, so that the handler `jwt` accepts it as one. */
const TOKEN = 'the.token.in-question';

/**
 * Determines what the gateway would do with a request. It calls the same function that serves requests, but
 * without network calls.
 *
 * @throws RangeError if the URL is not an absolute http or https URL
 */
export function explain(table: RuleTable, question: Question): Explanation {
  const { method, url, token, session } = question;
  const parts = ABSOLUTE.exec(url);
  if (parts === null) throw new RangeError(`"${url}" is not an absolute http or https URL`);
  const authority = parts[1] as string;
  const rest = parts[2] as string;
  const target = canonicalTarget(rest.startsWith('/') ? rest : `/${rest}`, authority);
  if ('refused' in target) {
    const decision: Decision = { allowed: false, denial: denial('malformed_target', target.refused) };
    return { decision, status: ERRORS.malformed_target.code, candidates: [] };
  }

  const rule = table.find(target.host, method, target.path);
  const placed =
    token === undefined ? { raw: [], query: target.query } : place(rule, method, target.query, session);
  const fields = readFields(['Host', authority, ...withSession(placed.raw, rule, session)], '1.1');
  if ('refused' in fields) throw new RangeError(fields.refused);
  const decision = decide({
    table,
    method,
    target: { ...target, query: placed.query },
    fields,
    services: answering(token ?? {}, rule, session),
    body: placed.body === undefined ? undefined : { readBody: () => placed.body },
  });
  // Nothing here is asynchronous, because the introspection answer is already known.
  if (decision instanceof Promise) throw new TypeError('a decision without a network cannot wait');
  return {
    target,
    decision,
    status: decision.allowed ? 200 : (decision.denial.answer?.code ?? ERRORS[decision.denial.error].code),
    candidates: table.rules.map((candidate) => ({
      rule: candidate,
      failed: failure(candidate, method, target, rule, decision),
    })),
  };
}

/**
 * The machine-readable form: its keys are stable, and it contains only values from the rules and the
 * hypothetical request.
 */
export function explanationJson(
  method: string,
  url: string,
  { target, decision, status, candidates }: Explanation,
): object {
  return {
    request: { method, url, host: target?.host, path: target?.path },
    decision: decision.allowed ? 'allow' : 'deny',
    status,
    rule: decision.rule?.id,
    ...(decision.rule?.observes === true ? { enforcement: 'observe' } : {}),
    ...(decision.rule?.authorizers === undefined ? {} : { authorizers: decision.rule.authorizers }),
    ...(decision.allowed
      ? decision.rule.document === undefined
        ? {
            upstream: `${decision.rule.upstream.origin}${decision.sentPath ?? decision.path}`,
            matchedPath: decision.path,
            sentPath: decision.sentPath ?? decision.path,
          }
        : { document: JSON.parse(decision.rule.document.text) as object }
      : { error: decision.denial.error, reason: decision.denial.reason, scopes: decision.denial.scopes }),
    candidates: candidates.map(({ rule, failed }) => ({
      rule: rule.id,
      source: rule.source,
      hosts: rule.hosts,
      methods: rule.methods,
      path: rule.path,
      strategies: rule.strategies.map(({ handler }) => handler),
      scopes: rule.strategies.flatMap(({ requiredScopes }) => requiredScopes),
      failed,
    })),
  };
}

/** The parts of a request that carry the token: fields, query and body. */
interface Placed {
  readonly raw: string[];
  readonly query: string;
  readonly body?: Buffer;
}

/**
 * Puts the token where the rule reads it: in the first of its places that a request with this method can
 * have. The session's cookie is none of them if the request has a session of its own.
 */
function place(
  rule: Rule | undefined,
  method: string,
  query: string,
  session: HypotheticalSession | undefined,
): Placed {
  const sources = rule?.strategies.find(
    ({ handler, tokenSources }) =>
      tokenSources !== undefined && (session === undefined || handler !== COOKIE_SESSION),
  )?.tokenSources;
  const source = sources?.find((each) => !('form_parameter' in each) || method === 'POST');
  if (source === undefined) return { raw: ['Authorization', `Bearer ${TOKEN}`], query };
  if ('cookie' in source) return { raw: ['Cookie', `${source.cookie}=${TOKEN}`], query };
  if ('query_parameter' in source) {
    const parameter = `${encodeURIComponent(source.query_parameter)}=${TOKEN}`;
    return { raw: [], query: query === '' ? `?${parameter}` : `${query}&${parameter}` };
  }
  if ('form_parameter' in source) {
    const body = Buffer.from(`${encodeURIComponent(source.form_parameter)}=${TOKEN}`);
    const raw = ['Content-Type', 'application/x-www-form-urlencoded', 'Content-Length', `${body.length}`];
    return { raw, query, body };
  }
  const scheme = source.scheme ?? (source.header.toLowerCase() === 'authorization' ? 'Bearer' : undefined);
  return { raw: [source.header, scheme === undefined ? TOKEN : `${scheme} ${TOKEN}`], query };
}

const COOKIE_SESSION = 'cookie_session';

/** Adds the session's cookie to header fields, as a browser would: all cookies in one field. */
function withSession(
  raw: readonly string[],
  rule: Rule | undefined,
  session: HypotheticalSession | undefined,
): string[] {
  if (session === undefined) return [...raw];
  const [source] = rule?.strategies.find(({ handler }) => handler === COOKIE_SESSION)?.tokenSources ?? [];
  const name = session.cookie ?? (source !== undefined && 'cookie' in source ? source.cookie : 'session');
  const pair = `${name}=${SESSION}`;
  return raw[0] === 'Cookie' ? ['Cookie', `${raw[1]}; ${pair}`] : [...raw, 'Cookie', pair];
}

/** The answer of the session store, with the subject and the extra values where the rule looks for them. */
function sessionReply(rule: Rule | undefined, session: HypotheticalSession): Reply {
  if (!session.active) return { ok: true, status: 401, body: '' };
  const { subject = 'subject', extra = {} } = session;
  const paths = rule?.strategies.flatMap(({ session: found }) => (found === undefined ? [] : [found])) ?? [];
  const withExtra = paths.reduce((body, { extraFrom }) => placedAt(body, extraFrom, extra), {});
  const answer = paths.reduce((body, { subjectFrom }) => placedAt(body, subjectFrom, subject), withExtra);
  return { ok: true, status: 200, body: JSON.stringify(answer) };
}

/** Puts a value at a path of an object, beside what is there. With no path, its members become the object's. */
function placedAt(target: JsonObject, [step, ...rest]: readonly string[], value: unknown): JsonObject {
  if (step === undefined) return { ...target, ...membersOf(value) };
  const inner = Object.hasOwn(target, step) ? membersOf(target[step]) : {};
  return { ...target, [step]: rest.length === 0 ? value : placedAt(inner, rest, value) };
}

function answering(
  token: TokenClaims,
  rule: Rule | undefined,
  session: HypotheticalSession | undefined,
): Services {
  const { scopes = [], audience = [], issuer, subject = 'subject', clientId = 'client', claims } = token;
  const answer: ActiveAnswer = {
    active: true,
    claims: { ...claims, sub: subject, client_id: clientId, scope: scopes.join(' '), aud: audience },
    scopes,
    audience,
    subject,
    clientId,
    ...(issuer === undefined ? {} : { issuer }),
  };
  return {
    introspect: () => ({ ok: true, answer, trace: { from: 'hit', ms: 0 } }),
    verify: () => ({
      ok: true,
      claims: { ...answer.claims, ...(issuer === undefined ? {} : { iss: issuer }) },
    }),
    call: ({ purpose, headers }) => {
      // A call with the token in it is about the token, and not about the session.
      if (purpose === 'session' && session !== undefined && headers.authorization === undefined) {
        return sessionReply(rule, session);
      }
      const body =
        purpose === 'token'
          ? { access_token: TOKEN, token_type: 'bearer', scope: scopes.join(' ') }
          : { subject, sub: subject, identity: { id: subject }, extra: answer.claims };
      return { ok: true, status: 200, body: JSON.stringify(body) };
    },
    possession: 'assumed',
    forwards: false,
    now: () => Date.now() / 1000,
  };
}

function failure(
  rule: Rule,
  method: string,
  { host, path }: Target,
  found: Rule | undefined,
  decision: Decision,
): Candidate['failed'] {
  if (!holdHost(rule.hosts, host)) return 'host';
  if (!rule.methods.includes(method)) return 'method';
  if (!rule.pattern.test(path)) return 'path';
  // Several rules match and none answers: the operator accepted that nothing is proved about their overlap.
  if (rule !== found) return found === undefined ? 'contested' : 'overridden';
  return decision.allowed ? 'none' : 'decision';
}
