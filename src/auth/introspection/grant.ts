import { hash } from 'node:crypto';
import type { Grant } from '../../model/authorization-server.js';
import type { Clock } from '../../model/clock.js';
import type { Call, Reply } from '../../model/outbound.js';
import { within } from '../../model/within.js';
import { basicCredentials } from './client-secret.js';
import { PrerequisiteUnavailable } from './errors.js';

/** Names a grant without holding its secret; another secret is another grant. */
export function grantIdentity({ tokenUrl, clientId, clientSecret, scope, audience = '' }: Grant): string {
  const secret = hash('sha256', clientSecret(), 'base64');
  return JSON.stringify([tokenUrl, clientId, secret, scope, audience]);
}

/** Sends the request for a token. */
export type SendCall = (call: Call) => Reply | Promise<Reply>;

interface Held {
  readonly token: string;
  /** Monotonic milliseconds. */
  readonly renewAt: number;
  readonly until: number;
}

/** Seconds a token is taken to last where the server does not say (RFC 6749 §5.1 only recommends that it does). */
const UNSAID = 300;
/** Milliseconds before its end at which a token is renewed; of a short-lived one the last fifth. */
const AHEAD = 30_000;
/** Milliseconds after a failed renewal before the next one, while the old token is still good. */
const PAUSE = 5_000;

/** Tokens that the gateway holds for itself, one a grant: fetched once for all who wait, and renewed before they end. */
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
   * The grant's token.
   *
   * @param signal ends the wait, not the fetch that others wait for as well
   * @throws PrerequisiteUnavailable when the token endpoint gives none; the signal's reason when it aborts
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

  /** A server did not take this token: the next one who asks gets another. */
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
    // Another secret has made this one's successor; what it left would pile up.
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

/** Reads a token response (RFC 6749 §5.1). Lifetime in milliseconds. */
function readGrant(body: string): { readonly token: string; readonly lifetime: number } {
  let answer: Readonly<Record<string, unknown>> | null;
  try {
    answer = JSON.parse(body) as Readonly<Record<string, unknown>> | null;
  } catch {
    throw new PrerequisiteUnavailable('the token response is not JSON');
  }
  const { access_token: token, token_type: type = 'bearer', expires_in: lifetime } = answer ?? {};
  // RFC 6750 §2.1: what a header field can carry.
  if (typeof token !== 'string' || !/^[A-Za-z0-9._~+/-]+=*$/.test(token)) {
    throw new PrerequisiteUnavailable('the token response has no usable "access_token"');
  }
  if (typeof type !== 'string' || type.toLowerCase() !== 'bearer') {
    throw new PrerequisiteUnavailable('the token response is of no bearer token');
  }
  const seconds = typeof lifetime === 'number' && lifetime >= 0 ? lifetime : UNSAID;
  return { token, lifetime: seconds * 1000 };
}
