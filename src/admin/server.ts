import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Server as TlsServer } from 'node:tls';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Invalidation } from '../auth/introspection/invalidation.js';
import { NO_SCHEMA_COMPILERS } from '../listener/fastify.js';
import { answerPlainHttp } from '../listener/plain-http.js';
import { isObject, type JsonObject } from '../model/json.js';
import { version } from '../observe/version.js';
import { TOKEN } from '../parse/grammar.js';
import type { Credentials } from '../tls/credentials.js';
import { type AccessOptions, type AccessRefusal, createAccess } from './access.js';
import { readPage } from './page.js';
import type { SeriesJson } from './series.js';

/** What the admin listener serves. */
export interface AdminOptions {
  /** Whether scopegate is ready: it has valid rules and does not drain. */
  readonly ready: () => Readiness;
  /** Forward-auth. It gets the request target exactly as the client sent it. */
  readonly decisions: {
    owns(rawTarget: string): boolean;
    answer(message: IncomingMessage, response: ServerResponse, rawTarget: string): void;
  };
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** The public keys with which upstreams verify what mutators sign: a JWK Set (RFC 7517 §5). */
  readonly keys: () => object;
  /** The rules in use, for `/rules`. */
  readonly rules: () => object;
  /**
   * The current state, for `/status`.
   *
   * @param seq only decisions after this number are included
   */
  readonly status: (seq: number) => object;
  /**
   * The last fifteen minutes, for `/series`.
   *
   * @param step the length of a step in seconds
   */
  readonly series: (step: number) => SeriesJson;
  /** The settings in force without secrets, for `/settings`. */
  readonly settings: () => object;
  /**
   * Explains the decision about a request, for `/explain`.
   *
   * @throws RangeError if method or URL is invalid
   */
  readonly explain: (question: ExplainQuestion) => object;
  /**
   * Invalidates cached answers.
   *
   * @returns the JSON of the response, with their number
   */
  readonly purge: (which: Invalidation) => PurgeResult | Promise<PurgeResult>;
  /** Called after each `POST /cache/purge`, also a refused one. */
  readonly onPurge?: (purge: PurgeCall) => void;
  readonly access: AccessOptions;
  /** The certificates. If undefined, the listener uses plain HTTP. */
  readonly tls?: Credentials | undefined;
  /**
   * The largest header section, in bytes. Forward-auth calls carry the header fields of the proxies' clients.
   */
  readonly maxHeaderBytes: number;
}

/** The JSON of the response of `POST /cache/purge`. */
export interface PurgeResult {
  /** The number of answers that were removed here. */
  readonly purged: number;
  /** Whether the other gateways were told; absent if the cache is not shared. */
  readonly told?: boolean;
}

/** One call of `POST /cache/purge`, for the log: never the token, subject, client or session itself. */
export interface PurgeCall extends Partial<PurgeResult> {
  /** The address of the caller. */
  readonly peer: string | undefined;
  /** What to purge; undefined if the call was refused or its body is invalid. */
  readonly what: 'all' | 'token' | 'sub' | 'client_id' | 'sid' | undefined;
  /** The status of the response. */
  readonly status: number;
}

/** The body of `POST /explain`: a request to explain. */
export interface ExplainQuestion {
  readonly method: string;
  readonly url: string;
  /** The assumed token. If all of these are absent, the request has no token. */
  readonly scopes?: readonly string[];
  readonly audience?: readonly string[];
  readonly issuer?: string;
  readonly subject?: string;
  readonly clientId?: string;
}

/** The body of `/health/ready`. */
export interface Readiness {
  readonly ready: boolean;
  /** `ok`, or why scopegate is not ready. */
  readonly status: string;
  /** The version of the rules in use, and the last reload. */
  readonly rules: { readonly version: number; readonly lastReload?: LastReload };
  /** Present while rules only observe: how many, and how many there are. */
  readonly enforcement?: { readonly observing: number; readonly rules: number; readonly warning: string };
}

/** The result of the last reload of the rules. */
export interface LastReload {
  readonly ok: boolean;
  /** When it was, in ISO 8601. */
  readonly at: string;
  /** The number of errors because of which the old rules stay in use. */
  readonly errors: number;
}

/** The largest request body, in bytes. */
const BODY_LIMIT = 65_536;
/** The longest time for a request to arrive, in milliseconds. */
const REQUEST_TIMEOUT = 30_000;
/** How often Node looks for requests that took longer, in milliseconds. */
const CHECK_INTERVAL = 5_000;

/**
 * Builds the admin listener. It is a separate server, so that nothing of it is reachable on the proxy port.
 *
 * @returns a server that does not listen yet
 */
export function createAdmin(options: AdminOptions): FastifyInstance {
  const { decisions, metrics } = options;
  const access = createAccess(options.access);
  const limits = {
    maxHeaderSize: options.maxHeaderBytes,
    connectionsCheckingInterval: CHECK_INTERVAL,
  };
  const app = fastify({
    logger: false,
    ...NO_SCHEMA_COMPILERS,
    forceCloseConnections: true,
    return503OnClosing: false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT,
    ...(options.tls === undefined
      ? { http: limits }
      : { https: { ...limits, ...options.tls.serverOptions() } }),
    // Hide forward-auth calls from Fastify's router: their paths belong to another server.
    rewriteUrl: (message: IncomingMessage) => (decisions.owns(message.url ?? '') ? '/' : (message.url ?? '')),
  } as Parameters<typeof fastify>[0]) as unknown as FastifyInstance;
  // Disable Node's limit, which silently drops further header fields. Forward-auth counts the fields and
  // refuses the request.
  app.server.maxHeadersCount = 0;
  options.tls?.serve(app.server as unknown as TlsServer);
  if (options.tls !== undefined) answerPlainHttp(app.server as unknown as HttpsServer);
  app.removeContentTypeParser('text/plain');

  app.addHook('onRequest', (request, reply, done) => {
    const message = request.raw as IncomingMessage & { originalUrl?: string };
    const target = message.originalUrl ?? message.url ?? '';
    if (decisions.owns(target)) {
      reply.hijack();
      decisions.answer(message, reply.raw, target);
      return;
    }
    done();
  });
  app.addHook('onSend', async (_request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
    });
    if (!reply.hasHeader('content-security-policy')) {
      reply.header('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
    }
  });

  app.get('/health/alive', async () => ({ status: 'ok' }));
  app.get('/health/ready', async (request, reply) => {
    const { ready, status, ...details } = options.ready();
    reply.code(ready ? 200 : 503);
    // Health checks get the status under any host name. The rest is for accepted host names only.
    return access.scrape(request.headers.host) === undefined ? { status, ...details } : { status };
  });
  const scrapable = { onRequest: guarding(({ headers }) => access.scrape(headers.host)) };
  app.get('/version', scrapable, async () => ({ version }));
  // Public keys are readable under any host name, because upstreams may use any name for this port.
  app.get('/.well-known/jwks.json', async (_request, reply) => {
    reply.type('application/jwk-set+json');
    return JSON.stringify(options.keys());
  });
  app.get('/metrics', scrapable, async (_request, reply) => {
    reply.type(metrics.contentType);
    return metrics.text();
  });

  const read = guarding(({ headers }) => access.read(headers.host));
  const cross = guarding(({ headers }) => access.cross(headers));
  const readable = { onRequest: read };
  const page = readPage();
  app.get('/', readable, async (_request, reply) => {
    reply.type('text/html; charset=utf-8').header('content-security-policy', page.policy);
    return page.html;
  });
  app.get('/rules', readable, async () => options.rules());
  app.get('/status', readable, async (request) => options.status(sequence(request)));
  app.get('/settings', readable, async () => options.settings());
  app.get('/series', readable, async (request) => options.series(stepOf(request)));
  app.post('/explain', { onRequest: [read, cross] }, async (request) => {
    try {
      return options.explain(readQuestion(request.body));
    } catch (error) {
      if (error instanceof RangeError) throw invalid(error.message);
      throw error;
    }
  });
  const purges = new WeakMap<FastifyRequest, Partial<PurgeCall>>();
  app.post(
    '/cache/purge',
    {
      onRequest: [
        (request, _reply, done) => {
          purges.set(request, { peer: request.socket.remoteAddress });
          done();
        },
        read,
        cross,
        (request, reply, done) => {
          const refusal = access.write(request.raw.socket, request.headers.authorization);
          if (refusal === undefined) return done();
          if (refusal.code === 401) reply.header('www-authenticate', 'Bearer realm="scopegate admin"');
          turnAway(reply, refusal);
        },
      ],
      onResponse: async (request, reply) => {
        options.onPurge?.({
          peer: undefined,
          what: undefined,
          ...purges.get(request),
          status: reply.statusCode,
        });
      },
    },
    async (request) => {
      const which = toPurge(request.body);
      const result = await options.purge(which);
      const what = which === 'all' ? 'all' : 'claim' in which ? which.claim : 'token';
      purges.set(request, { ...purges.get(request), what, ...result });
      return result;
    },
  );

  app.setNotFoundHandler((_request, reply) => {
    turnAway(reply, { code: 404, message: 'The admin listener has no such page' });
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const code = error.statusCode ?? 500;
    const known = code >= 400 && code < 500;
    turnAway(reply, {
      code: known ? code : 500,
      message: known ? error.message : 'The admin listener failed to handle the request',
    });
  });
  return app;
}

function guarding(judge: (request: FastifyRequest) => AccessRefusal | undefined) {
  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const refusal = judge(request);
    if (refusal === undefined) done();
    else turnAway(reply, refusal);
  };
}

const PHRASES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  500: 'Internal Server Error',
};

function turnAway(
  reply: FastifyReply,
  { code, message }: AccessRefusal | { code: number; message: string },
): void {
  reply.code(code).send({ error: { code, status: PHRASES[code] ?? 'Error', message } });
}

function invalid(message: string): Error {
  return Object.assign(new Error(message), { statusCode: 400 });
}

function sequence(request: FastifyRequest): number {
  const { after = '0' } = request.query as { after?: unknown };
  if (typeof after !== 'string' || !/^[0-9]{1,15}$/.test(after)) throw invalid('after must be a number');
  return Number(after);
}

/** The steps of `/series`, in seconds. They divide fifteen minutes. */
const STEPS = ['1', '5', '10', '30', '60'];

function stepOf(request: FastifyRequest): number {
  const { step = '5' } = request.query as { step?: unknown };
  if (typeof step !== 'string' || !STEPS.includes(step))
    throw invalid(`step must be one of ${STEPS.join(', ')}`);
  return Number(step);
}

/** Reads what to purge. The body must be JSON, because a form on another site cannot send JSON. */
function toPurge(body: unknown): Invalidation {
  const [member, ...more] = Object.entries(object(body));
  if (member !== undefined && more.length === 0) {
    const [name, value] = member;
    if (name === 'all' && value === true) return 'all';
    if (typeof value === 'string' && value !== '') {
      if (name === 'token') return { token: value };
      if (name === 'sub' || name === 'client_id' || name === 'sid') return { claim: name, value };
    }
  }
  throw invalid(
    'The body must be {"all":true}, or have exactly one of token, sub, client_id and sid with a string: {"token":"…"}',
  );
}

const LISTS = ['scopes', 'audience'] as const;
const TEXTS = ['issuer', 'subject', 'clientId'] as const;

function readQuestion(body: unknown): ExplainQuestion {
  const given = object(body);
  const known = new Set<string>(['method', 'url', ...LISTS, ...TEXTS]);
  for (const name of Object.keys(given))
    if (!known.has(name))
      throw invalid(
        `${name} is not a known field; use method, url, scopes, audience, issuer, subject or clientId`,
      );
  const { method, url } = given;
  if (typeof method !== 'string' || typeof url !== 'string') throw invalid('method and url are required');
  if (!TOKEN.test(method)) throw invalid('method must be an HTTP method');
  for (const name of LISTS) {
    const value = given[name];
    const fits = Array.isArray(value) && value.every((item) => typeof item === 'string');
    if (value !== undefined && !fits) throw invalid(`${name} must be a list of strings`);
  }
  for (const name of TEXTS) {
    if (given[name] !== undefined && typeof given[name] !== 'string')
      throw invalid(`${name} must be a string`);
  }
  return given as unknown as ExplainQuestion;
}

function object(body: unknown): JsonObject {
  if (!isObject(body)) throw invalid('The body must be a JSON object');
  return body;
}
