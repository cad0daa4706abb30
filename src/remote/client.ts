import { Agent, buildConnector } from 'undici';
import type { Call, Reply } from './remote.js';

/** Limits of one call; times in milliseconds, sizes in bytes. */
export interface ClientLimits {
  /** For everything: connecting, waiting and the whole body. */
  readonly timeout: number;
  readonly connectTimeout: number;
  readonly maxResponseBytes: number;
  /** PEM certificates to trust instead of Node's own. */
  readonly ca?: string;
}

/** Connections to one server; further calls wait within their deadline. */
const CONNECTIONS = 64;
/** Seconds to wait where the server asks for nothing else. */
const RETRY_AFTER = 1;

/** Speaks HTTP to the services that rules name. Certificates are always verified; nothing is retried or followed. */
export class RemoteClient {
  readonly #limits: ClientLimits;
  readonly #agent: Agent;

  constructor(limits: ClientLimits) {
    this.#limits = limits;
    this.#agent = new Agent({
      connect: buildConnector({
        timeout: limits.connectTimeout,
        rejectUnauthorized: true,
        ...(limits.ca === undefined ? {} : { ca: limits.ca }),
      }),
      connections: CONNECTIONS,
      pipelining: 1,
      maxResponseSize: limits.maxResponseBytes,
      maxHeaderSize: 16_384,
      keepAliveTimeout: 10_000,
    });
  }

  /** Sends one request. Server errors, 429 and redirects are no answers: they come back as unavailable. */
  async call({ url, method, headers, body }: Omit<Call, 'purpose'>): Promise<Reply> {
    const { origin, pathname, search } = new URL(url);
    try {
      const response = await this.#agent.request({
        origin,
        path: pathname + search,
        method: method as 'GET',
        headers: { 'accept-encoding': 'identity', 'user-agent': 'scopegate', ...headers },
        body: body ?? null,
        signal: AbortSignal.timeout(this.#limits.timeout),
        headersTimeout: this.#limits.timeout,
        bodyTimeout: this.#limits.timeout,
      });
      const status = response.statusCode;
      if (status >= 500 || status === 429 || status === 408 || (status >= 300 && status < 400)) {
        response.body.on('error', () => {}).destroy();
        return unavailable(`it answered ${status}`, retryAfter(response.headers['retry-after']));
      }
      return { ok: true, status, body: utf8.decode(await response.body.bytes()) };
    } catch (error) {
      // A code or a name, never a message: messages of libraries may quote what they choked on.
      const { code, name } = error as { code?: unknown; name?: unknown };
      return unavailable(`the call failed (${typeof code === 'string' ? code : String(name)})`, RETRY_AFTER);
    }
  }

  /** Ends idle connections and running calls. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function unavailable(cause: string, retryAfter: number): Reply {
  return { ok: false, cause, retryAfter };
}

/** RFC 9110 §10.2.3; at most five minutes are believed. */
function retryAfter(value: string | string[] | undefined): number {
  if (typeof value !== 'string') return RETRY_AFTER;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(Math.ceil(seconds), RETRY_AFTER), 300) : RETRY_AFTER;
}
