import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { ConfigError } from '../../document/finding.js';
import { oathkeeperDurationSchema, oathkeeperDurationSeconds } from '../../model/duration.js';
import { type Denial, denial } from '../../model/errors.js';
import type { MatchContext, Mutator, MutatorServices, Session } from '../../model/mutator.js';
import type { Reply } from '../../model/outbound.js';
import type { MutatorKind } from './mutator.js';
import { captureGroups } from './session.js';

/** The most responses that are cached. */
const ENTRIES = 1_000;

interface Config {
  readonly api: {
    readonly url: string;
    readonly auth?: { readonly basic?: { readonly username: string; readonly password: string } };
    readonly retry?: object;
  };
  readonly cache?: { readonly enabled?: boolean; readonly ttl?: string };
}

const text = { type: 'string' } as const;

/**
 * Oathkeeper's `hydrator` mutator: sends the session to a service. The `extra` of its response replaces that
 * of the session for later mutators. The service must not change the subject.
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
          retry: { type: 'object' },
        },
      },
      cache: {
        type: 'object',
        additionalProperties: false,
        properties: { enabled: { type: 'boolean' }, ttl: oathkeeperDurationSchema },
      },
    },
  },
  compile(config) {
    const { api, cache = {} } = config as unknown as Config;
    if (!URL.canParse(api.url)) throw new ConfigError(['api', 'url'], `"${api.url}" is not a URL`);
    if (api.retry !== undefined) {
      throw new ConfigError(['api', 'retry'], 'retry is not implemented: remove it');
    }
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
    );
  },
};

class Hydrator implements Mutator {
  readonly headers = [];
  readonly cookies = [];
  readonly keys = [];
  readonly #url: string;
  readonly #authorization: string | undefined;
  readonly #ttl: number;
  readonly #answers = new LRUCache<string, { extra: Session['extra']; until: number }>({ max: ENTRIES });

  constructor(url: string, authorization: string | undefined, ttl: number) {
    this.#url = url;
    this.#authorization = authorization;
    this.#ttl = ttl;
  }

  mutate(session: Session, services: MutatorServices): Denial | undefined | Promise<Denial | undefined> {
    const body = payload(session);
    // The session may contain a credential, so the cache key is its digest.
    const key = this.#ttl > 0 ? hash('sha256', body, 'base64') : '';
    const known = this.#ttl > 0 ? this.#answers.get(key) : undefined;
    if (known !== undefined && services.now() < known.until) {
      session.extra = known.extra;
      return undefined;
    }
    const reply = services.call({
      purpose: 'hydrate',
      url: this.#url,
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/json',
        ...(this.#authorization === undefined ? {} : { authorization: this.#authorization }),
      },
      body,
    });
    const take = (settled: Reply): Denial | undefined => {
      const extra = settled.ok && settled.status === 200 ? hydrated(settled.body, session) : undefined;
      if (extra === undefined) {
        return denial('authorization_server_unavailable', 'the hydrator gave no usable answer', {
          retryAfter: settled.ok ? 1 : settled.retryAfter,
        });
      }
      session.extra = extra;
      if (this.#ttl > 0) this.#answers.set(key, { extra, until: services.now() + this.#ttl });
      return undefined;
    };
    return reply instanceof Promise ? reply.then(take) : take(reply);
  }
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
 * @returns its `extra`; undefined if the response is invalid, or if it sets a header field that no earlier
 *   mutator has set: such a field is not reserved, so a client could send it itself on other rules
 */
function hydrated(body: string, session: Session): Session['extra'] | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (typeof answer !== 'object' || answer === null) return undefined;
  const { subject = '', extra = {}, header } = answer as Readonly<Record<string, unknown>>;
  if (subject !== session.subject) return undefined;
  const names = Object.keys((header ?? {}) as object).map((name) => name.toLowerCase());
  if (!names.every((name) => session.headers.has(name))) return undefined;
  if (extra === null) return {};
  return typeof extra === 'object' && !Array.isArray(extra) ? (extra as Session['extra']) : undefined;
}
