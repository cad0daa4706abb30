import { ConfigError } from '../../document/finding.js';
import type { RetryLimits } from '../../model/authorization-server.js';
import { oathkeeperDurationSchema, oathkeeperDurationSeconds } from '../../model/duration.js';
import { type Denial, denial } from '../../model/errors.js';
import { isObject } from '../../model/json.js';
import { memorySize } from '../../model/memory-size.js';
import type { MatchContext, Mutator, MutatorServices, Session } from '../../model/mutator.js';
import type { Reply } from '../../model/outbound.js';
import { TOKEN } from '../../parse/grammar.js';
import { callAgain, readRetry, retrySchema } from '../retry.js';
import { type InstanceAnswers, ServiceAnswers } from '../service-answers.js';
import { REFUSED } from './header.js';
import { headerKey } from './header-key.js';
import type { MutatorKind } from './mutator.js';
import { captureGroups } from './session.js';

/** The most names of header fields that a hydrator may set without its rule naming them. */
const LEARNED = 50;

interface Config {
  readonly headers?: readonly string[];
  readonly api: {
    readonly url: string;
    readonly auth?: { readonly basic?: { readonly username: string; readonly password: string } };
    readonly retry?: { readonly give_up_after?: string; readonly max_delay?: string };
  };
  readonly cache?: { readonly enabled?: boolean; readonly ttl?: string };
}

const text = { type: 'string' } as const;

/**
 * Oathkeeper's `hydrator` mutator: sends the session to a service. The `extra` of its response replaces that
 * of the session for later mutators, and its `header` sets header fields. The service must not change the
 * subject.
 */
export const hydrator: MutatorKind = {
  name: 'hydrator',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['api'],
    properties: {
      api: {
        type: 'object',
        additionalProperties: false,
        required: ['url'],
        properties: {
          url: {
            type: 'string',
            title: 'an http or https URL without credentials',
            pattern: '^https?://[^\\s#@]+$',
          },
          auth: {
            type: 'object',
            additionalProperties: false,
            properties: {
              basic: {
                type: 'object',
                additionalProperties: false,
                required: ['username', 'password'],
                properties: { username: text, password: text },
              },
            },
          },
          retry: retrySchema,
        },
      },
      headers: {
        type: 'array',
        items: { type: 'string', title: 'the name of a header field', pattern: TOKEN.source },
        description:
          'The header fields that the service may set. They are then removed from every request on every rule, and the service can set no others.',
      },
      cache: {
        type: 'object',
        additionalProperties: false,
        properties: { enabled: { type: 'boolean' }, ttl: oathkeeperDurationSchema },
      },
    },
  },
  compile(config) {
    const { api, cache = {}, headers } = config as unknown as Config;
    const own = headers?.findIndex((name) => REFUSED.test(name.toLowerCase())) ?? -1;
    if (own >= 0) throw new ConfigError(['headers', own], 'scopegate sets this field itself; remove it');
    if (!URL.canParse(api.url)) throw new ConfigError(['api', 'url'], `"${api.url}" is not a URL`);
    const basic = api.auth?.basic;
    if (basic?.username.includes(':')) {
      throw new ConfigError(['api', 'auth', 'basic', 'username'], 'must not contain a colon (RFC 7617)');
    }
    const authorization =
      basic && `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`;
    return new Hydrator(
      api.url,
      authorization,
      cache.enabled ? oathkeeperDurationSeconds(cache.ttl ?? '1m') : 0,
      headers,
      readRetry(api.retry, ['api', 'retry']),
    );
  },
};

/** The answer of the service. */
interface Hydration {
  readonly extra: Session['extra'];
  /** The header fields that it sets. */
  readonly header: readonly (readonly [name: string, value: string])[];
}

const hydrations = new ServiceAnswers<Hydration>(
  ({ extra, header }) => memorySize(extra) + memorySize(header),
);

class Hydrator implements Mutator {
  readonly headers: readonly string[];
  readonly cookies = [];
  readonly keys = [];
  readonly #url: URL;
  readonly #authorization: string | undefined;
  readonly #answers: InstanceAnswers<Hydration>;
  readonly #retry: RetryLimits | undefined;
  /** The fields that the service may set, as {@link headerKey} returns them; undefined for any. */
  readonly #named: ReadonlySet<string> | undefined;
  /** The fields that it has set so far. From then on, the rule's clients cannot set them. */
  readonly #learned = new Set<string>();

  constructor(
    url: string,
    authorization: string | undefined,
    ttl: number,
    headers: readonly string[] | undefined,
    retry: RetryLimits | undefined,
  ) {
    this.#url = new URL(url);
    this.#authorization = authorization;
    this.#answers = hydrations.forInstance(ttl);
    this.#retry = retry;
    this.headers = headers ?? [];
    this.#named = headers && new Set(headers.map(headerKey));
  }

  mutate(session: Session, services: MutatorServices): Denial | undefined | Promise<Denial | undefined> {
    const body = payload(session);
    const known = this.#answers.get(body, services);
    if (known !== undefined) return this.#apply(known, session);
    const call = {
      purpose: 'hydrate',
      url: withQuery(this.#url, session.match.query),
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/json',
        ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
      },
      body,
    } as const;
    const reply = callAgain(services, call, this.#retry);
    const take = (settled: Reply): Denial | undefined => {
      const answer = settled.ok && settled.status === 200 ? hydrated(settled.body, session) : undefined;
      if (answer === undefined || !this.#maySet(answer)) {
        return denial('authorization_server_unavailable', 'the hydrator gave no usable answer', {
          retryAfter: settled.ok ? 1 : settled.retryAfter,
          cause: settled.ok ? 'unusable_answer' : settled.cause,
        });
      }
      this.#answers.set(body, answer, services);
      return this.#apply(answer, session);
    };
    return reply instanceof Promise ? reply.then(take) : take(reply);
  }

  /** Whether the service may set these fields. */
  #maySet({ header }: Hydration): boolean {
    const names = header.map(([name]) => headerKey(name));
    if (this.#named !== undefined) return names.every((name) => this.#named?.has(name));
    for (const name of names) if (this.#learned.size < LEARNED) this.#learned.add(name);
    return names.every((name) => this.#learned.has(name));
  }

  #apply({ extra, header }: Hydration, session: Session): undefined {
    session.extra = extra;
    session.claims = undefined;
    for (const [name, value] of header) session.headers.set(name.toLowerCase(), [name, value]);
    if (this.#learned.size > 0) session.replaced = new Set([...(session.replaced ?? []), ...this.#learned]);
  }
}

/**
 * Adds the request's query to the service's URL. A parameter that the URL itself has cannot be set by the
 * request as well.
 */
function withQuery(url: URL, query: string): string {
  if (query.length < 2) return url.href;
  const own = new Set([...url.searchParams.keys()].map((name) => name.toLowerCase()));
  const added = query
    .slice(1)
    .split('&')
    .filter((pair) => pair !== '' && !own.has(nameOf(pair)));
  const whole = new URL(url);
  whole.search = [url.search.slice(1), ...added].filter((part) => part !== '').join('&');
  return whole.href;
}

/** The name of a query parameter as a server reads it, in lower case. */
function nameOf(pair: string): string {
  const [[name = ''] = []] = [...new URLSearchParams(pair)];
  return name.toLowerCase();
}

/** The session in the format of Oathkeeper's API. */
function payload({ subject, extra, headers, match }: Session): string {
  return JSON.stringify({
    subject,
    extra,
    header: Object.fromEntries([...headers.values()].map(([name, value]) => [name, [value]])),
    match_context: {
      regexp_capture_groups: captureGroups(match),
      url: { Host: match.host, Path: match.path, RawQuery: match.query.slice(1) },
      method: match.method,
      header: allHeaders(match),
    },
  });
}

function allHeaders({ rawHeaders }: MatchContext): Record<string, string[]> {
  const headers = new Map<string, string[]>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string)
      .toLowerCase()
      .replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
    headers.set(name, [...(headers.get(name) ?? []), rawHeaders[i + 1] as string]);
  }
  return Object.fromEntries(headers);
}

/**
 * Reads a response: a JSON object with the same subject.
 *
 * @returns undefined if the response is invalid, or if it sets a header field that scopegate sets itself
 */
function hydrated(body: string, session: Session): Hydration | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof answer !== 'object' || answer === null) return undefined;
  const { subject = '', extra, header } = answer as Readonly<Record<string, unknown>>;
  if (subject !== session.subject) return undefined;
  const fields = headerOf(header ?? {});
  if (fields === undefined || Array.isArray(extra) || typeof (extra ?? {}) !== 'object') return undefined;
  return { extra: (extra ?? {}) as Session['extra'], header: fields };
}

/** The fields of a `header`: name → its values, as Go writes them, or one value. */
function headerOf(header: unknown): Hydration['header'] | undefined {
  if (!isObject(header)) return undefined;
  const fields: [string, string][] = [];
  for (const [name, given] of Object.entries(header)) {
    const values: unknown[] = Array.isArray(given) ? given : [given];
    if (values.length === 0) continue;
    if (!TOKEN.test(name) || REFUSED.test(name.toLowerCase())) return undefined;
    if (!values.every((value) => typeof value === 'string')) return undefined;
    fields.push([name, values.join(', ')]);
  }
  return fields;
}
