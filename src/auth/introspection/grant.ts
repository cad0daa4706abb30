import { hash } from 'node:crypto';
import type { Grant } from '../../model/authorization-server.js';
import type { Clock } from '../../model/clock.js';
import type { Call, Reply } from '../../model/outbound.js';
import { within } from '../../model/within.js';
import { basicCredentials } from './client-secret.js';
import { PrerequisiteUnavailable } from './errors.js';

/** Identifies a grant without containing its secret. A new secret makes a new grant. */
export function grantIdentity({ tokenUrl, clientId, clientSecret, scope, audience = '' }: Grant): string {
  const secret = hash('sha256', clientSecret(), 'base64');
  return JSON.stringify([tokenUrl, clientId, secret, scope, audience]);
}

/** Sends one request to an authorization server. */
export type SendCall = (call: Call) => Reply | Promise<Reply>;

interface Held {
  readonly token: string;
  /** Monotonic milliseconds. */
  readonly renewAt: number;
  readonly until: number;
}

/** Seconds until a token expires if the server does not say (RFC 6749 §5.1 only recommends `expires_in`). */
const UNSAID = 300;
/**
 * Milliseconds before it expires at which a token is renewed. A short-lived token is renewed in the last
 * fifth of its life.
 */
const AHEAD = 30_000;
/** Milliseconds from a failed renewal to the next one, while the old token is still valid. */
const PAUSE = 5_000;

/**
 * scopegate's own tokens, one per grant. A token is fetched once for all calls that wait for it, and renewed
 * before it expires.
 */
export class Grants {
  readonly #send: SendCall;
  readonly #clock: Clock;
  readonly #held = new Map<string, Held>();
  readonly #flights = new Map<string, Promise<string>>();
  readonly #pauses = new Map<string, number>();

  constructor(send: SendCall, clock: Clock) {
    this.#send = send;
    this.#clock = clock;
  }

  /**
   * Returns the token of a grant.
   *
   * @param signal aborts the wait; the fetch itself continues, because other calls wait for it too
   * @throws PrerequisiteUnavailable if the token endpoint gives no token; the signal's reason if it aborts
   */
  async token(grant: Grant, signal: AbortSignal): Promise<string> {
    const id = grantIdentity(grant);
    const held = this.#held.get(id);
    const now = this.#clock.monotonic();
    if (held === undefined || now >= held.until) return await within(signal, this.#fetch(grant, id));
    if (now >= held.renewAt && now >= (this.#pauses.get(id) ?? 0)) {
      this.#fetch(grant, id).catch(() => this.#pauses.set(id, this.#clock.monotonic() + PAUSE));
    }
    return held.token;
  }

  /** Called when a server refused this token. The next call gets a new one. */
  refused(grant: Grant, token: string): void {
    const id = grantIdentity(grant);
    if (this.#held.get(id)?.token === token) this.#held.delete(id);
  }

  #fetch(grant: Grant, id: string): Promise<string> {
    let flight = this.#flights.get(id);
    if (flight === undefined) {
      flight = this.#ask(grant, id).finally(() => this.#flights.delete(id));
      this.#flights.set(id, flight);
    }
    return flight;
  }

  async #ask(grant: Grant, id: string): Promise<string> {
    const form = new URLSearchParams({ grant_type: 'client_credentials' });
    if (grant.scope.length > 0) form.set('scope', grant.scope.join(' '));
    if (grant.audience !== undefined) form.set('audience', grant.audience);
    const asked = this.#clock.monotonic();
    const reply = await this.#send({
      purpose: 'token',
      url: grant.tokenUrl,
      method: 'POST',
      headers: {
        accept: 'application/json',
        authorization: basicCredentials(grant.clientId, grant.clientSecret()),
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: form.toString(),
    });
    if (!reply.ok) throw new PrerequisiteUnavailable('the token endpoint gave no token', reply);
    if (reply.status !== 200)
      throw new PrerequisiteUnavailable(`the token endpoint answered ${reply.status}`);
    const { token, lifetime } = readGrant(reply.body);
    // A rotated secret makes a new grant. Remove the expired tokens of old grants, so that they do not
    // accumulate.
    for (const [other, { until }] of this.#held) if (until <= asked) this.#held.delete(other);
    this.#held.set(id, {
      token,
      renewAt: asked + Math.max(lifetime - AHEAD, lifetime * 0.8),
      until: asked + lifetime,
    });
    this.#pauses.delete(id);
    return token;
  }
}

/**
 * Reads a token response (RFC 6749 §5.1).
 *
 * @returns the token and its lifetime in milliseconds
 * @throws PrerequisiteUnavailable if it has no usable token
 */
function readGrant(body: string): { readonly token: string; readonly lifetime: number } {
  let answer: Readonly<Record<string, unknown>> | null;
  try {
    answer = JSON.parse(body) as Readonly<Record<string, unknown>> | null;
  } catch {
    throw new PrerequisiteUnavailable('the token response is not JSON');
  }
  const { access_token: token, token_type: type = 'bearer', expires_in: lifetime } = answer ?? {};
  // The syntax of a bearer token (RFC 6750 §2.1), so that it fits into a header field.
  if (typeof token !== 'string' || !/^[A-Za-z0-9._~+/-]+=*$/.test(token)) {
    throw new PrerequisiteUnavailable('the token response has no usable "access_token"');
  }
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') {
    throw new PrerequisiteUnavailable('the "token_type" of the token response is not bearer');
  }
  const seconds = typeof lifetime === 'number' && lifetime >= 0 ? lifetime : UNSAID;
  return { token, lifetime: seconds * 1000 };
}
