import { ConfigError } from '../../document/finding.js';
import { denial } from '../../model/errors.js';
import { memberAt } from '../../model/json.js';
import type { Call, Reply } from '../../model/outbound.js';
import type {
  Outcome,
  RequestContext,
  SessionPaths,
  StrategyWarning,
  Subject,
} from '../../model/strategy.js';
import type { Fields } from '../../parse/fields.js';
import { TOKEN } from '../../parse/grammar.js';

/** How scopegate asks a session store, and what it reads from the answer. */
export interface SessionCheck extends SessionPaths {
  readonly url: URL;
  readonly preservePath: boolean;
  readonly preserveQuery: boolean;
  readonly preserveHost: boolean;
  readonly method: string | undefined;
  /** Lower-case names of the client's fields that the store gets. */
  readonly forwarded: ReadonlySet<string>;
  readonly headers: Readonly<Record<string, string>>;
}

/** The `config` fields of a check, with Oathkeeper's names. */
export interface SessionCheckConfig {
  readonly check_session_url: string;
  readonly preserve_path?: boolean;
  readonly preserve_query?: boolean;
  readonly preserve_host?: boolean;
  readonly force_method?: string;
  readonly forward_http_headers?: readonly string[];
  readonly additional_headers?: Readonly<Record<string, string>>;
  readonly subject_from?: string;
  readonly extra_from?: string;
}

/** JSON Schema of these fields. */
export const sessionCheckProperties = {
  check_session_url: {
    type: 'string',
    title: 'an http or https URL without credentials',
    pattern: '^https?://[^\\s#@]+$',
    description: 'URL of the session store; its answer 200 means a valid session.',
  },
  preserve_path: {
    type: 'boolean',
    description: 'Keep the path of check_session_url instead of the request’s.',
  },
  preserve_query: { type: 'boolean', description: 'Keep the query of check_session_url; default true.' },
  preserve_host: { type: 'boolean', description: 'Send the host of the request in X-Forwarded-Host.' },
  force_method: { enum: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] },
  forward_http_headers: {
    type: 'array',
    items: { type: 'string', title: 'the name of a header field', pattern: TOKEN.source },
  },
  additional_headers: {
    type: 'object',
    propertyNames: { title: 'the name of a header field', pattern: TOKEN.source },
    additionalProperties: {
      type: 'string',
      title: 'a string of printable ASCII characters',
      pattern: '^[\\t\\x20-\\x7e]*$',
    },
  },
  subject_from: { type: 'string', description: 'Path to the subject in the answer.' },
  extra_from: { type: 'string', description: 'Path in the answer to the values that mutators can use.' },
} as const;

/** Fields that frame the call or belong to its connection. No rule may set or forward them. */
const OWN: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Reads the `config` fields of a check.
 *
 * @param credential the lower-case name of the field that holds the credential; it is always forwarded
 * @param subjectFrom the default of `subject_from`
 * @throws ConfigError if they cannot work
 */
export function readSessionCheck(
  config: SessionCheckConfig,
  credential: string | undefined,
  subjectFrom: string,
): SessionCheck {
  const { check_session_url: url, force_method: method } = config;
  if (!URL.canParse(url)) throw new ConfigError(['check_session_url'], `"${url}" is not a URL`);
  const forwarded = (config.forward_http_headers ?? []).map((name) => name.toLowerCase());
  const own = forwarded.findIndex((name) => OWN.has(name));
  if (own >= 0)
    throw new ConfigError(
      ['forward_http_headers', own],
      'scopegate cannot forward this field, because it belongs to the connection; remove it',
    );
  const headers = Object.entries(config.additional_headers ?? {}).map(([name, value]) => {
    if (OWN.has(name.toLowerCase()))
      throw new ConfigError(['additional_headers', name], 'scopegate sets this field itself; remove it');
    return [name.toLowerCase(), value] as const;
  });
  return {
    url: new URL(url),
    preservePath: config.preserve_path ?? false,
    preserveQuery: config.preserve_query ?? true,
    preserveHost: config.preserve_host ?? false,
    method,
    forwarded: new Set(credential === undefined ? forwarded : [credential, ...forwarded]),
    headers: Object.fromEntries(headers),
    subjectFrom: readPath('subject_from', config.subject_from ?? subjectFrom),
    extraFrom: readPath('extra_from', config.extra_from ?? 'extra'),
  };
}

/** Reads the part of GJSON's path syntax in common use: `@this`, and names and indexes separated by dots. */
function readPath(field: string, text: string): string[] {
  if (text === '@this') return [];
  if (!/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(text)) {
    throw new ConfigError([field], `"${text}" is not supported: write @this, or names separated by dots`);
  }
  return text.split('.');
}

/**
 * Warns if a check takes its method or path from the client's request. The store may answer 200 to more than
 * sessions: with a path that is open to everyone, every cookie would count as a session. A method that
 * changes something would reach the store with the client's cookies.
 */
export function sessionCheckWarnings({ url, preservePath, method }: SessionCheck): StrategyWarning[] {
  const taken = [...(method === undefined ? ['method'] : []), ...(preservePath ? [] : ['path'])];
  if (taken.length === 0) return [];
  const bare = !preservePath && url.pathname === '/';
  const instead = [
    ...(bare ? ['the path of the check into check_session_url'] : []),
    ...(preservePath ? [] : ['preserve_path: true']),
    ...(method === undefined ? ['force_method: GET'] : []),
  ];
  const list = instead.length < 3 ? instead.join(' and ') : `${instead[0]}, ${instead[1]} and ${instead[2]}`;
  const goal = bare || preservePath ? '' : ` to always call ${url.pathname}`;
  const what = `scopegate calls it with the ${taken.join(' and the ')} of the client’s request`;
  return [
    {
      path: ['check_session_url'],
      code: 'session-check-as-client',
      message: `${what}, so every request to which the store answers 200 counts as a valid session; write ${list}${goal}`,
    },
  ];
}

/** Builds the call about one request. It never carries the request's body. */
export function sessionCall(check: SessionCheck, { method, target, fields }: RequestContext): Call {
  const url = new URL(check.url);
  if (!check.preservePath) url.pathname = target.path;
  if (!check.preserveQuery) url.search = target.query;
  const asked = check.method ?? method;
  return {
    purpose: 'session',
    url: url.href,
    // Send GET instead of HEAD, because a response to HEAD cannot name a subject.
    method: asked === 'HEAD' ? 'GET' : asked,
    headers: {
      accept: 'application/json',
      ...forwardedFields(check, fields),
      ...(check.preserveHost && fields.host !== undefined ? { 'x-forwarded-host': fields.host } : {}),
      ...check.headers,
    },
  };
}

function forwardedFields({ forwarded }: SessionCheck, { names, raw }: Fields): Record<string, string> {
  const headers = new Map<string, string>();
  names.forEach((name, index) => {
    if (!forwarded.has(name)) return;
    const value = raw[index * 2 + 1] as string;
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`);
  });
  return Object.fromEntries(headers);
}

/**
 * Judges a session store's answer. 200 means a session. Any other answer of a working store means none. A
 * store that fails says nothing about the session.
 */
export function judgeSession({ subjectFrom, extraFrom }: SessionCheck, reply: Reply): Outcome {
  if (!reply.ok) return unavailable(reply.retryAfter, reply.cause);
  if (reply.status !== 200) {
    return { kind: 'deny', denial: denial('invalid_token', 'the session is not valid') };
  }
  let body: unknown;
  try {
    body = JSON.parse(reply.body);
  } catch {
    return unavailable(1, 'unusable_answer');
  }
  const subject = memberAt(body, subjectFrom) ?? '';
  const extra = memberAt(body, extraFrom) ?? {};
  if (typeof subject !== 'string' || typeof extra !== 'object' || Array.isArray(extra))
    return unavailable(1, 'unusable_answer');
  const who: Subject = { subject, claims: extra as Readonly<Record<string, unknown>> };
  return { kind: 'allow', subject: who };
}

function unavailable(retryAfter: number, cause: string): Outcome {
  const refused = denial('authorization_server_unavailable', 'the session store gave no usable answer', {
    retryAfter,
    cause,
  });
  return { kind: 'deny', denial: refused };
}
