import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { ConfigError } from '../../document/finding.js';
import type { RetryLimits } from '../../model/authorization-server.js';
import { oathkeeperDurationSchema, oathkeeperDurationSeconds } from '../../model/duration.js';
import { denial } from '../../model/errors.js';
import type { Call, Reply } from '../../model/outbound.js';
import type { AccessStrategy, Outcome, RequestContext, Services } from '../../model/strategy.js';
import { holdsBearer } from '../../parse/token.js';
import { basicCredentials } from '../introspection/client-secret.js';
import { ReadinessChecks, type ReadinessResult, tokenEndpointReadiness } from '../introspection/readiness.js';
import { callAgain, readRetry, retrySchema } from '../retry.js';
import { scopeTokens } from './config.js';
import { missingScopes, scopeStrategies } from './scope.js';
import type { Handler } from './strategy.js';

/** How long verified credentials are cached, in seconds. A revoked client is accepted for as long. */
const DEFAULT_TTL = 60;

/**
 * Oathkeeper's `oauth2_client_credentials` authenticator: the request's Basic credentials (RFC 7617) must be
 * those of an OAuth2 client. scopegate verifies them by requesting a token with the required scopes at the
 * token endpoint (RFC 6749 §4.4). It discards the token: that the server issued it is the proof.
 */
export const oauth2ClientCredentials: Handler = {
  name: 'oauth2_client_credentials',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['token_url'],
    properties: {
      token_url: {
        type: 'string',
        title: 'an http or https URL without credentials',
        pattern: '^https?://[^\\s#@]+$',
        description: 'The token endpoint.',
      },
      required_scope: {
        ...scopeTokens,
        description: 'Scopes that the client must be granted, all of them.',
      },
      cache: {
        type: 'object',
        additionalProperties: false,
        properties: {
          enabled: { type: 'boolean' },
          ttl: oathkeeperDurationSchema,
          max_tokens: { type: 'integer', minimum: 1 },
        },
      },
      retry: retrySchema,
    },
  },
  compile(config) {
    const url = config.token_url as string;
    if (!URL.canParse(url)) throw new ConfigError(['token_url'], `"${url}" is not a URL`);
    const cache = (config.cache ?? {}) as { enabled?: boolean; ttl?: string; max_tokens?: number };
    return new ClientCredentials(
      url,
      (config.required_scope as string[] | undefined) ?? [],
      cache.enabled === false
        ? 0
        : cache.ttl === undefined
          ? DEFAULT_TTL
          : oathkeeperDurationSeconds(cache.ttl),
      cache.max_tokens ?? 1000,
      readRetry(config.retry as Parameters<typeof readRetry>[0], ['retry']),
    );
  },
};

interface Client {
  readonly id: string;
  readonly secret: string;
}

class ClientCredentials implements AccessStrategy {
  readonly handler = 'oauth2_client_credentials';
  readonly requiredScopes: readonly string[];
  readonly #url: string;
  readonly #ttl: number;
  readonly #retry: RetryLimits | undefined;
  /** When verified credentials expire, in seconds since 1970, by a digest of the credentials. */
  readonly #proven: LRUCache<string, number>;
  readonly #flights = new Map<string, Promise<Outcome>>();
  /** Created when the server first refuses a client. */
  #readiness: ReadinessChecks | undefined;

  /** @param ttl seconds; 0 keeps nothing */
  constructor(
    url: string,
    scopes: readonly string[],
    ttl: number,
    entries: number,
    retry: RetryLimits | undefined,
  ) {
    this.#url = url;
    this.#retry = retry;
    this.requiredScopes = scopes;
    this.#ttl = ttl;
    this.#proven = new LRUCache({ max: entries });
  }

  authenticate(context: RequestContext, services: Services): Outcome | Promise<Outcome> {
    const client = readBasic(context.fields.authorization);
    if (client === undefined) {
      return { kind: 'pass', denial: denial('no_token', 'the request carries no client credentials') };
    }
    if (client === 'malformed') {
      return { kind: 'deny', denial: denial('invalid_request', 'the client credentials are malformed') };
    }
    if (holdsBearer(context)) {
      // Nobody has verified the token, and the upstream may trust it.
      const refused = denial('invalid_request', 'the request carries client credentials and a token');
      return { kind: 'deny', denial: refused };
    }
    const key = hash('sha256', JSON.stringify([client.id, client.secret]), 'base64');
    const until = this.#proven.get(key);
    if (until !== undefined && services.now() < until) return this.#allow(client);
    const running = this.#flights.get(key);
    if (running !== undefined) return running;
    const asked = services.now();
    const reply = callAgain(services, this.#call(client), this.#retry);
    if (!(reply instanceof Promise)) return this.#judge(reply, client, key, services.now());
    const flight = reply
      .then((settled) =>
        settled.ok && settled.status === 401
          ? this.#confirm(settled, client, key, asked, services)
          : this.#judge(settled, client, key, services.now()),
      )
      .finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  #call({ id, secret }: Client): Call {
    const form = new URLSearchParams({ grant_type: 'client_credentials' });
    if (this.requiredScopes.length > 0) form.set('scope', this.requiredScopes.join(' '));
    return {
      purpose: 'token',
      url: this.#url,
      method: 'POST',
      headers: {
        accept: 'application/json',
        authorization: basicCredentials(id, secret),
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: form.toString(),
    };
  }

  /**
   * Judges a refusal of the client, but only if the server is ready: while Hydra has no database, it refuses
   * every client as one that does not exist.
   */
  async #confirm(
    reply: Reply,
    client: Client,
    key: string,
    asked: number,
    services: Services,
  ): Promise<Outcome> {
    const readiness = tokenEndpointReadiness(this.#url);
    if (readiness === undefined) return this.#judge(reply, client, key, services.now());
    this.#readiness ??= new ReadinessChecks(() => isReady(readiness.url, services), {
      monotonic: () => services.now() * 1000,
      wall: services.now,
    });
    const endpoint = { url: this.#url, headers: {}, auth: { method: 'none' }, readiness } as const;
    const confirmed = await this.#readiness.confirm(endpoint, asked * 1000, this.#proven.has(key));
    return confirmed.ok
      ? this.#judge(reply, client, key, services.now())
      : unavailable(Math.ceil(confirmed.retryAfter / 1000), 'not_ready');
  }

  #judge(reply: Reply, client: Client, key: string, now: number): Outcome {
    if (!reply.ok) return unavailable(reply.retryAfter, reply.cause);
    const body = parse(reply.body);
    if (reply.status !== 200) {
      // RFC 6749 §5.2: the client is known, but it may not have these scopes.
      if (body?.error === 'invalid_scope') return this.#lacking(client);
      if (reply.status === 400 || reply.status === 401 || reply.status === 403) {
        return { kind: 'deny', denial: denial('invalid_token', 'the client credentials are not valid') };
      }
      return unavailable(1, 'unusable_answer');
    }
    if (typeof body?.access_token !== 'string' || body.access_token === '')
      return unavailable(1, 'unusable_answer');
    // RFC 6749 §5.1: the server may omit the scope if it granted what was requested.
    if (typeof body.scope === 'string') {
      const granted = body.scope.split(' ');
      if (missingScopes(granted, this.requiredScopes, scopeStrategies.exact).length > 0)
        return this.#lacking(client);
    }
    const { expires_in: lifetime } = body;
    const ttl = typeof lifetime === 'number' ? Math.min(this.#ttl, lifetime) : this.#ttl;
    if (ttl > 0) this.#proven.set(key, now + ttl);
    return this.#allow(client);
  }

  #allow({ id }: Client): Outcome {
    return { kind: 'allow', subject: { subject: id, clientId: id, scopes: this.requiredScopes } };
  }

  #lacking({ id }: Client): Outcome {
    const refused = denial('insufficient_scope', 'the client was not granted a required scope', {
      scopes: this.requiredScopes,
    });
    return { kind: 'deny', denial: refused, subject: { subject: id, clientId: id } };
  }
}

/** Many servers use this path, so only 503 counts: Hydra's response when it is not ready. */
async function isReady(url: string, services: Services): Promise<ReadinessResult> {
  const reply = await services.call({ purpose: 'readiness', url, method: 'GET', headers: {} });
  if (reply.ok) return { state: 'ready' };
  const { cause } = reply;
  return reply.status === 503
    ? { state: 'not_ready', cause, retryAfter: reply.retryAfter * 1000 }
    : { state: 'absent', cause };
}

/** Reads Basic credentials (RFC 7617 §2) and undoes the form encoding of RFC 6749 §2.3.1. */
function readBasic(authorization: string | undefined): Client | 'malformed' | undefined {
  const [, encoded] = /^basic +(.*)$/i.exec(authorization ?? '') ?? [];
  if (encoded === undefined) return undefined;
  if (encoded.length > 4096 || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return 'malformed';
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  if (colon < 1) return 'malformed';
  try {
    const [id, secret] = [pair.slice(0, colon), pair.slice(colon + 1)].map((part) =>
      decodeURIComponent(part.replaceAll('+', ' ')),
    ) as [string, string];
    return { id, secret };
  } catch {
    return 'malformed';
  }
}

function parse(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function unavailable(retryAfter: number, cause: string): Outcome {
  const refused = denial('authorization_server_unavailable', 'the token endpoint gave no usable answer', {
    retryAfter,
    cause,
  });
  return { kind: 'deny', denial: refused };
}
