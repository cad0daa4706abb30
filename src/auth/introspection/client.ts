import { setTimeout as wait } from 'node:timers/promises';
import { Agent, type Dispatcher } from 'undici';
import type { Endpoint, SignedAnswers } from '../../model/authorization-server.js';
import type { Clock } from '../../model/clock.js';
import type { Answer } from '../../model/introspection.js';
import type { Outbound } from '../../model/outbound.js';
import { causeOf } from '../../observe/redaction.js';
import { startCallSpan } from '../../observe/tracing/calls.js';
import type { CallSpan } from '../../observe/tracing/trace.js';
import { isResourceExhaustion, retryAfterSeconds } from '../../outbound/http-client.js';
import type { ServerMetadata } from '../../outbound/server-metadata.js';
import { type ServerTls, serverConnector } from '../../tls/connector.js';
import { readAnswer } from './answer.js';
import { withHeaders } from './call-headers.js';
import { type ClientCredentials, clientCredentials } from './client-auth.js';
import { formEncode } from './client-secret.js';
import { decryptAnswer } from './encrypted-answer.js';
import { CallFailed, InvalidAnswer, PrerequisiteUnavailable } from './errors.js';
import { Grants, type SendCall } from './grant.js';
import { MetadataStore } from './metadata.js';
import type { CheckedEndpoint, ReadinessResult } from './readiness.js';
import { readSigned, SIGNED_TYPE } from './signed-answer.js';

/** Limits of one introspection call; times in milliseconds, sizes in bytes. */
export interface CallLimits {
  /** For the whole call: waiting, connecting, retries and reading the body. */
  readonly timeout: number;
  readonly connectTimeout: number;
  readonly maxResponseBytes: number;
  /** Retries after connection errors. */
  readonly retries: number;
  /** The most connections to one authorization server. */
  readonly concurrency: number;
  /** Whether to refuse answers that are not declared as JSON. */
  readonly requireContentType: boolean;
}

/** How scopegate connects to one authorization server. */
export interface ServerAccess {
  /** The trusted certificates and the client certificate for its introspection endpoint. */
  readonly tls: () => ServerTls;
  /**
   * Requests scopegate's own token and the server's metadata. It trusts the same certificates and sends no
   * client certificate.
   */
  readonly send: SendCall;
  /** Verifies the server's signed answers. */
  readonly verify: Outbound['verify'];
}

/** What the calls need in addition to their limits. */
export interface CallContext {
  readonly clock: Clock;
  /** The servers in the settings, by their URL there. */
  readonly servers: ReadonlyMap<string, ServerAccess>;
  /** Used for all servers that only rules name. */
  readonly others: ServerAccess;
}

/** The connections and cached data of one authorization server. */
interface Line {
  readonly agent: Agent;
  readonly send: SendCall;
  readonly grants: Grants;
  readonly metadata: MetadataStore;
  readonly verify: Outbound['verify'];
}

/** Makes introspection calls (RFC 7662 §2.1) with POST. The token is in the form, never in the URL. */
export class IntrospectionClient {
  readonly #limits: CallLimits;
  readonly #clock: Clock;
  readonly #lines: ReadonlyMap<string, Line>;
  readonly #otherLine: Line;

  constructor(limits: CallLimits, { clock, servers, others }: CallContext) {
    this.#limits = limits;
    this.#clock = clock;
    const line = ({ tls, send, verify }: ServerAccess): Line => ({
      agent: new Agent({
        connect: serverConnector(tls, limits.connectTimeout),
        connections: limits.concurrency,
        pipelining: 1,
        maxResponseSize: limits.maxResponseBytes,
        maxHeaderSize: 16_384,
        keepAliveTimeout: 10_000,
      }),
      send,
      grants: new Grants(send, clock),
      metadata: new MetadataStore(send, clock),
      verify,
    });
    this.#lines = new Map([...servers].map(([server, access]) => [server, line(access)]));
    this.#otherLine = line(others);
  }

  /**
   * Asks one endpoint about one token.
   *
   * @param signal aborts the call at its deadline
   * @throws CallFailed if there is no usable answer
   */
  async call(endpoint: Endpoint, token: string, signal: AbortSignal): Promise<Answer> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#once(endpoint, token, signal);
      } catch (error) {
        if (signal.aborted) throw new CallFailed('the introspection call took too long', { code: 'timeout' });
        if (error instanceof CallFailed) throw error;
        if (codeOf(error) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') {
          throw unusable('the introspection answer is too large');
        }
        // A rule's own retry ends with its deadline.
        const retries = endpoint.retry === undefined ? this.#limits.retries : Number.POSITIVE_INFINITY;
        if (!CONNECTION_ERRORS.has(codeOf(error)) || attempt >= retries) {
          throw new CallFailed(`the introspection call failed (${causeOf(error)})`, {
            unasked: isResourceExhaustion(error),
            code: causeOf(error),
          });
        }
        await backOff(attempt, signal, endpoint.retry?.maxDelay);
      }
    }
  }

  /**
   * Asks a server's readiness URL. A server that sends anything but a status 2xx is not ready.
   *
   * @returns never rejects
   */
  async readiness({ server, url, headers, readiness }: CheckedEndpoint): Promise<ReadinessResult> {
    const line = this.#lineOf(server);
    const { origin, pathname, search } = new URL(readiness.url);
    const notReady = (cause: string, retryAfter = 1000) =>
      ({ state: 'not_ready', cause, retryAfter }) as const;
    let status: number | undefined;
    let wait: string | string[] | undefined;
    let span: CallSpan | undefined;
    try {
      if (origin === new URL(url).origin) {
        span = startCallSpan('readiness', 'GET', readiness.url);
        // The same server: its access may depend on the client certificate and the fixed header fields.
        const response = await line.agent.request({
          origin,
          path: pathname + search,
          method: 'GET',
          headers: withHeaders(READINESS_FIELDS, headers),
          signal: AbortSignal.timeout(this.#limits.timeout),
        });
        status = response.statusCode;
        wait = response.headers['retry-after'];
        await response.body.dump();
        span?.end(status);
      } else {
        const call = { purpose: 'readiness', url: readiness.url, method: 'GET', headers: {} } as const;
        const reply = await line.send(call);
        if (!reply.ok) return notReady(`its readiness URL: ${reply.cause}`, reply.retryAfter * 1000);
        status = reply.status;
      }
    } catch (error) {
      span?.end(status, causeOf(error));
      return notReady(`the readiness check failed (${causeOf(error)})`);
    }
    if (status >= 200 && status < 300) return { state: 'ready' };
    const cause = `its readiness URL answered ${status}`;
    // scopegate only derived the URL, so the server may not serve it. A URL in the settings must be correct.
    if (readiness.derived === true && status >= 300 && status < 500 && status !== 408 && status !== 429) {
      return { state: 'absent', cause };
    }
    return notReady(cause, Math.max(1000, retryAfter(wait, status)));
  }

  #lineOf(server: string | undefined): Line {
    return (server !== undefined && this.#lines.get(server)) || this.#otherLine;
  }

  /** Closes idle connections and aborts calls in flight. */
  async close(): Promise<void> {
    await Promise.all([...this.#lines.values(), this.#otherLine].map(({ agent }) => agent.destroy()));
  }

  async #once(endpoint: Endpoint, token: string, signal: AbortSignal): Promise<Answer> {
    const line = this.#lineOf(endpoint.server);
    const url = endpoint.discovered === true ? await discover(line, endpoint) : endpoint.url;
    const identity = await this.#identify(line, endpoint, signal);
    const answer = await this.#ask(line, endpoint, url, token, identity, signal);
    if (answer !== 'refused') return answer;
    // The server has revoked scopegate's own token before it expired. Try once with a new token; that result
    // is final.
    identity.refused?.();
    const { refused, ...next } = await this.#identify(line, endpoint, signal);
    return (await this.#ask(line, endpoint, url, token, next, signal)) as Answer;
  }

  /** @returns refused if the server refused scopegate's own token and another one can be had */
  async #ask(
    line: Line,
    endpoint: Endpoint,
    url: string,
    token: string,
    identity: ClientCredentials,
    signal: AbortSignal,
  ): Promise<Answer | 'refused'> {
    const span = startCallSpan('introspection', 'POST', url);
    let status: number | undefined;
    let failure: string | undefined;
    try {
      const response = await this.#send(line, endpoint, url, token, identity, signal);
      status = response.statusCode;
      if (status !== 401 || identity.refused === undefined) return await this.#read(line, endpoint, response);
      response.body.on('error', () => {}).destroy();
      return 'refused';
    } catch (error) {
      failure = error instanceof CallFailed ? 'unusable_answer' : causeOf(error);
      throw error;
    } finally {
      span?.end(status, failure);
    }
  }

  async #identify({ grants }: Line, { auth }: Endpoint, signal: AbortSignal): Promise<ClientCredentials> {
    try {
      return await clientCredentials(auth, { grants, now: this.#clock.wall, signal });
    } catch (error) {
      if (error instanceof PrerequisiteUnavailable) throw new CallFailed(error.message, error);
      if (signal.aborted) throw error;
      // A library's message could contain parts of the key.
      throw new CallFailed('scopegate cannot create its own credentials for the call', {
        alive: true,
        code: 'own_credentials',
      });
    }
  }

  async #send(
    { agent }: Line,
    { headers, signed }: Endpoint,
    address: string,
    token: string,
    { authorization, form }: ClientCredentials,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const url = new URL(address);
    const accept = signed === undefined ? {} : { accept: SIGNED_TYPE };
    return await agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'POST',
      headers: withHeaders(FIELDS, authorization === undefined ? {} : { authorization }, headers, accept),
      body: `token=${formEncode(token)}${form}`,
      signal,
      headersTimeout: this.#limits.timeout,
      bodyTimeout: this.#limits.timeout,
    });
  }

  async #read(
    line: Line,
    { signed }: Endpoint,
    { statusCode, headers, body }: Dispatcher.ResponseData,
  ): Promise<Answer> {
    const give = (error: CallFailed): never => {
      body.on('error', () => {}).destroy();
      throw error;
    };
    if (statusCode !== 200) {
      return give(
        new CallFailed(`the authorization server answered ${statusCode}`, {
          retryAfter: retryAfter(headers['retry-after'], statusCode),
          alive: statusCode === 400,
          code: `status_${statusCode}`,
        }),
      );
    }
    const encoding = headers['content-encoding'];
    const type = headers['content-type'];
    if (encoding !== undefined && encoding !== 'identity') {
      return give(unusable('the introspection answer is compressed'));
    }
    if (signed !== undefined && !isOf(SIGNED_TYPE, type)) {
      return give(unusable('the introspection answer is not signed'));
    }
    if (signed === undefined && this.#limits.requireContentType && !isOf('application/json', type)) {
      return give(unusable('the introspection answer is not declared as application/json'));
    }
    const text = decodeStrictly(await body.bytes());
    try {
      return signed === undefined ? readAnswer(text) : await this.#readSigned(line, text, signed);
    } catch (error) {
      throw error instanceof InvalidAnswer ? unusable(error.message) : error;
    }
  }

  async #readSigned(line: Line, text: string, signed: SignedAnswers): Promise<Answer> {
    const jwksUrl = signed.jwksUrl ?? (await address(line, signed.issuer, 'jwksUrl'));
    const jwt = signed.decryption === undefined ? text : await decryptAnswer(text, signed.decryption());
    return await readSigned(jwt, signed, jwksUrl, line.verify, this.#clock.wall());
  }
}

/** The address of the introspection endpoint, from the server's metadata. */
async function discover(line: Line, { url: issuer, auth }: Endpoint): Promise<string> {
  return auth.method === 'tls'
    ? await address(line, issuer, 'introspectionUrlWithCertificate', 'introspectionUrl')
    : await address(line, issuer, 'introspectionUrl');
}

async function address(
  { metadata }: Line,
  issuer: string,
  ...names: readonly (keyof ServerMetadata)[]
): Promise<string> {
  try {
    return await metadata.address(issuer, ...names);
  } catch (error) {
    if (error instanceof PrerequisiteUnavailable) throw new CallFailed(error.message, error);
    throw error;
  }
}

/** In milliseconds. */
const LONGEST_PAUSE = 60_000;

/** Jitter keeps many gateways from retrying at the same moment. */
async function backOff(attempt: number, signal: AbortSignal, longest = LONGEST_PAUSE): Promise<void> {
  const pause = Math.min(20 * 2 ** attempt * (0.5 + Math.random()), longest);
  await wait(pause, undefined, { signal, ref: true }).catch(() => {
    throw new CallFailed('the introspection call took too long', { code: 'timeout' });
  });
}

const READINESS_FIELDS = {
  accept: 'application/json',
  // A compressed answer would need a limit on its decompressed size. Compression is not needed here.
  'accept-encoding': 'identity',
  'user-agent': 'scopegate',
};

const FIELDS = { ...READINESS_FIELDS, 'content-type': 'application/x-www-form-urlencoded' };

function unusable(problem: string): CallFailed {
  return new CallFailed(problem, { alive: true, code: 'unusable_answer' });
}

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : '';
}

/**
 * Errors of the connection; perhaps the server closed an idle one. An introspection call is safe to retry.
 */
const CONNECTION_ERRORS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** Whether a Content-Type has a media type; parameters are ignored. */
function isOf(media: string, type: string | string[] | undefined): boolean {
  return typeof type === 'string' && (type.split(';', 1)[0] as string).trim().toLowerCase() === media;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decodeStrictly(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw unusable('the introspection answer is not UTF-8');
  }
}

/**
 * Reads `Retry-After` of the two statuses that ask the client to wait (429, 503).
 *
 * @returns milliseconds; 0 if the server did not ask
 */
function retryAfter(value: string | string[] | undefined, status: number): number {
  return status === 429 || status === 503 ? (retryAfterSeconds(value) ?? 0) * 1000 : 0;
}
