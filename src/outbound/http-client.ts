import { Agent } from 'undici';
import type { Call, Reply, Unavailable } from '../model/outbound.js';
import { causeOf } from '../observe/redaction.js';
import { startCallSpan } from '../observe/tracing/calls.js';
import type { CallPurpose } from '../observe/tracing/trace.js';
import { type ServerTls, serverConnector } from '../tls/connector.js';

/** One call, and what it is for. */
export interface HttpCall extends Omit<Call, 'purpose'> {
  readonly purpose: CallPurpose;
}

/** Limits of one call; times in milliseconds, sizes in bytes. */
export interface ClientLimits {
  /** For the whole call: connecting, waiting and reading the body. */
  readonly timeout: number;
  readonly connectTimeout: number;
  readonly maxResponseBytes: number;
  /** Returns the TLS settings; it is called for each new connection. */
  readonly tls: () => ServerTls;
}

/** The most connections to one server. Further calls wait until their timeout. */
const CONNECTIONS = 64;
/** Seconds that the client should wait if the server sends no `Retry-After`. */
const RETRY_AFTER = 1;

/**
 * The HTTP client for services that rules name. It always verifies certificates. It does not retry and does
 * not follow redirects.
 */
export class HttpClient {
  readonly #limits: ClientLimits;
  readonly #agent: Agent;

  constructor(limits: ClientLimits) {
    this.#limits = limits;
    this.#agent = new Agent({
      connect: serverConnector(limits.tls, limits.connectTimeout),
      connections: CONNECTIONS,
      pipelining: 1,
      maxResponseSize: limits.maxResponseBytes,
      maxHeaderSize: 16_384,
      keepAliveTimeout: 10_000,
    });
  }

  /** Returns a deadline that begins now, for calls that share one; in milliseconds. */
  deadline(timeout = this.#limits.timeout): AbortSignal {
    return AbortSignal.timeout(timeout);
  }

  /**
   * Sends one request. Server errors count as unavailable, and so do 408, 429 and redirects unless the call takes them.
   *
   * @param signal the deadline; by default its own
   * @returns the reply; a failure is a value, so the promise never rejects
   */
  async call(
    { purpose, url, method, headers, body, timeout = this.#limits.timeout, takesRedirects }: HttpCall,
    signal: AbortSignal = this.deadline(timeout),
  ): Promise<Reply> {
    const { origin, pathname, search } = new URL(url);
    const span = startCallSpan(purpose, method, url);
    let status: number | undefined;
    try {
      const response = await this.#agent.request({
        origin,
        path: pathname + search,
        method: method as 'GET',
        headers: { 'accept-encoding': 'identity', 'user-agent': 'scopegate', ...headers },
        body: body ?? null,
        signal,
        headersTimeout: timeout,
        bodyTimeout: timeout,
      });
      status = response.statusCode;
      const wrong = status === 429 || status === 408 || (status >= 300 && status < 400);
      if (status >= 500 || (wrong && takesRedirects !== true)) {
        response.body.on('error', () => {}).destroy();
        span?.end(status);
        const wish = retryAfterSeconds(response.headers['retry-after']) ?? 0;
        return { ...unavailable(`it answered ${status}`, Math.max(Math.ceil(wish), RETRY_AFTER)), status };
      }
      const text = utf8.decode(await response.body.bytes());
      span?.end(status);
      return { ok: true, status, body: text, headers: response.headers };
    } catch (error) {
      span?.end(status, causeOf(error));
      return {
        ...unavailable(`the call failed (${causeOf(error)})`, RETRY_AFTER),
        unasked: isResourceExhaustion(error),
      };
    }
  }

  /** Closes idle connections and aborts calls in flight. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function unavailable(cause: string, retryAfter: number): Unavailable {
  return { ok: false, cause, retryAfter };
}

/** The longest `Retry-After` that is respected, in seconds. */
const LONGEST = 300;

/**
 * Reads `Retry-After` (RFC 9110 §10.2.3): seconds, or a date.
 *
 * @returns seconds from now, from 0 to 300; undefined if the field is absent or invalid
 */
export function retryAfterSeconds(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string') return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), LONGEST) : undefined;
}

/**
 * Error codes of a process that is out of descriptors, ports or memory for a connection (connect(2),
 * socket(2)).
 */
const SHORTAGES: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

/**
 * Whether a call failed because this process is out of resources. The server was then never called, so its
 * circuit breaker must not count the failure.
 */
export function isResourceExhaustion(error: unknown): boolean {
  return SHORTAGES.has((error as { code?: unknown } | null | undefined)?.code);
}
