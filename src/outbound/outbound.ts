import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../model/clock.js';
import type { Outbound, Unavailable } from '../model/outbound.js';
import { decodeText, NotText } from '../model/text-file.js';
import { type ClientLimits, HttpClient } from './http-client.js';
import { verifyJwt } from './jwt.js';
import { KeySetCache } from './key-sets.js';

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
  const keys = new KeySetCache((url) => readKeys(url, client), clock, onFailure);
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

async function readKeys(
  url: string,
  client: HttpClient,
): Promise<{ readonly ok: true; readonly body: string } | Unavailable> {
  if (url.startsWith('file:')) {
    try {
      return { ok: true, body: decodeText(await readFile(fileURLToPath(url))) };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const cause =
        error instanceof NotText ? error.message : `the file cannot be read (${code ?? 'unknown'})`;
      return { ok: false, cause, retryAfter: 1 };
    }
  }
  const reply = await client.call({ url, method: 'GET', headers: { accept: 'application/json' } });
  if (!reply.ok || reply.status === 200) return reply;
  return { ok: false, cause: `it answered ${reply.status}`, retryAfter: 1 };
}

/**
 * Removes the query for the log. A session check may forward the client's query, which may contain secrets.
 */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
