import type { Clock } from '../model/clock.js';
import type { Outbound } from '../model/outbound.js';
import { withoutQuery } from '../observe/redaction.js';
import { type ClientLimits, HttpClient } from './http-client.js';
import { verifyJwt } from './jwt.js';
import { KeySetCache } from './key-sets.js';
import { keyReader } from './read-keys.js';

/** An {@link Outbound} whose connections can be closed. */
export interface OutboundClient extends Outbound {
  close(): Promise<void>;
}

/**
 * Builds the network calls of handlers and mutators.
 *
 * @param onFailure called for every failed call, for the log; the URL has no query, and the cause holds no
 *   credential
 */
export function createOutbound(
  limits: ClientLimits,
  clock: Clock,
  onFailure: (url: string, cause: string) => void = () => {},
): OutboundClient {
  const client = new HttpClient(limits);
  const keys = new KeySetCache(keyReader(client), clock, onFailure);
  return {
    async call(call) {
      const reply = await client.call(call);
      if (!reply.ok) onFailure(withoutQuery(call.url), reply.cause);
      return reply;
    },
    verify: (token, verification) => verifyJwt(token, verification, keys, clock.wall),
    close: () => client.close(),
  };
}
