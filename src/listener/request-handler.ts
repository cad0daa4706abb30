import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { decide } from '../auth/decide.js';
import type { Revocations } from '../auth/introspection/revocation.js';
import type { Allowed, Decision, Denied } from '../model/decision.js';
import { closesConnection, type Denial, denial, GATEWAY_FAILED } from '../model/errors.js';
import type { Document, RuleTable } from '../model/rule.js';
import type { ExchangeResult } from '../model/upstream.js';
import { type EntranceOptions, RequestRecord } from '../observe/request-record.js';
import { withinTrace } from '../observe/tracing/calls.js';
import { type BodyReader, holdBody } from '../parse/form.js';
import {
  endsConnection,
  isStream,
  type ParsedRequest,
  parseRequest,
  webSocketKey,
} from '../parse/parsed-request.js';
import type { Forwarder } from '../proxy/forwarder.js';
import { upstreamTarget } from '../proxy/prepare-request.js';
import { drain, refuse, refuseOrBreakOff } from '../proxy/refusal.js';
import { CLIENT_CLOSED } from '../proxy/upstream/interrupted.js';
import type { Handshake, UpgradingConnection } from '../proxy/websocket/websockets.js';
import { corsFields, type FieldList } from './cors.js';
import { checkEntry, type EntryChecks } from './entry-checks.js';
import { type Preflight, preflight } from './preflight.js';

/** What the request handler needs of the running gateway. */
export interface RequestHandlerOptions extends EntranceOptions, EntryChecks {
  readonly forwarder: Forwarder;
  /** The largest header section, in bytes; larger ones are refused. */
  readonly maxHeaderBytes: number;
  /** Observes token revocations, so that revoked tokens are not served from the cache. */
  readonly revocations: Revocations;
}

/**
 * Handles a request: parsing, decision and forwarding.
 *
 * @param connection the connection of a request that asks for another protocol; a WebSocket takes it over
 */
export type HandleRequest = (
  message: IncomingMessage,
  response: ServerResponse,
  connection?: UpgradingConnection,
) => void;

/** Builds the request handler. Every request is answered: refused, forwarded, or upgraded to a WebSocket. */
export function createRequestHandler(options: RequestHandlerOptions): HandleRequest {
  const ended = new WeakSet<Socket>();
  return (message, response, connection) => {
    // Node's parser continues with bytes that were sent after the last request of a connection.
    if (ended.has(message.socket)) return;
    new ProxyRequestHandler(options, ended, message, response, connection).handle();
  };
}

/** One request in the gateway. */
class ProxyRequestHandler implements BodyReader {
  readonly #options: RequestHandlerOptions;
  /**
   * Connections that close after a response that is decided already: nothing else on them is processed
   * (RFC 9112 §9.6).
   */
  readonly #ended: WeakSet<Socket>;
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  /** The connection of a request with an Upgrade, which is the last request of that connection. */
  readonly #connection: UpgradingConnection | undefined;
  readonly #record: RequestRecord;
  #parsed: ParsedRequest | undefined;
  #table: RuleTable | undefined;

  constructor(
    options: RequestHandlerOptions,
    ended: WeakSet<Socket>,
    message: IncomingMessage,
    response: ServerResponse,
    connection: UpgradingConnection | undefined,
  ) {
    this.#options = options;
    this.#ended = ended;
    this.#message = message;
    this.#response = response;
    this.#connection = connection;
    this.#record = new RequestRecord('proxy', options, message);
  }

  handle(): void {
    try {
      this.#enter();
    } catch (error) {
      this.#crash(error);
    }
  }

  #enter(): void {
    const full = this.#options.admit('proxy', this.#message.method ?? '');
    if (full !== undefined) {
      this.#shed(full);
      return;
    }
    if (this.#record.peer.address === '') {
      // The client disconnected before its address was read. An upstream must not get a request without a
      // client address.
      this.#message.socket.destroy();
      this.#finish(deny('malformed_request', 'the client closed the connection'), {
        status: 0,
        cause: CLIENT_CLOSED,
      });
      return;
    }
    try {
      const { rules, services } = this.#options;
      const message = this.#message;
      if (!this.#response.shouldKeepAlive) this.#endConnection();
      const parsed = parseRequest(message, message.url ?? '', this.#options);
      if ('refused' in parsed) {
        this.#refuse(deny(parsed.error, parsed.refused));
        return;
      }
      this.#parsed = parsed;
      const { fields, target } = parsed;
      if (this.#response.shouldKeepAlive && endsConnection(message, fields)) {
        this.#response.shouldKeepAlive = false;
        this.#endConnection();
      }
      const refused = checkEntry(this.#record, fields, this.#connection !== undefined, this.#options);
      if (refused !== undefined) {
        this.#refuse({ allowed: false, denial: refused });
        return;
      }
      const table = rules();
      this.#table = table;
      const asked = preflight(table, message.method, target, fields);
      if (asked !== undefined) {
        this.#answerPreflight(asked);
        return;
      }
      const request = {
        table,
        method: message.method ?? '',
        target,
        fields,
        services,
        peer: this.#record.peer,
        requestId: this.#record.requestId,
        body: this,
      };
      const decision = withinTrace(this.#record.trace, decide, request);
      if (decision instanceof Promise) {
        decision.then(
          (settled) => this.#settle(parsed, settled),
          (error: unknown) => this.#crash(error),
        );
      } else {
        this.#settle(parsed, decision);
      }
    } catch (error) {
      this.#crash(error);
    }
  }

  /** Refuses a request because of overload, before it is parsed. It gets no audit line of its own. */
  #shed(full: Denial): void {
    if (!this.#response.shouldKeepAlive) this.#endConnection();
    refuse(this.#message, this.#response, full, this.#options.realm);
  }

  readBody(length: number): Promise<Buffer | undefined> {
    return holdBody(this.#message, length);
  }

  #settle(parsed: ParsedRequest, decision: Decision): void {
    this.#record.decided();
    try {
      if (this.#message.socket.destroyed) {
        // The client disconnected during introspection, so nothing is sent upstream.
        this.#finish(decision, { status: 0, cause: CLIENT_CLOSED });
      } else if (!decision.allowed) {
        this.#refuse(decision);
      } else if (decision.rule.document !== undefined) {
        this.#serveDocument(decision, decision.rule.document);
      } else {
        this.#forward(parsed, decision);
      }
    } catch (error) {
      this.#crash(error);
    }
  }

  #answerPreflight({ decision, fields }: Preflight): void {
    this.#response.writeHead(204, [...fields]);
    this.#response.end();
    drain(this.#message);
    this.#finish(decision, { status: 204 });
  }

  /** Answers with a document that scopegate serves itself. */
  #serveDocument(decision: Allowed, { text, fields }: Document): void {
    const length = String(Buffer.byteLength(text));
    this.#response.writeHead(200, ['content-length', length, ...fields, ...(this.#cors(decision) ?? [])]);
    this.#response.end(this.#message.method === 'HEAD' ? '' : text);
    drain(this.#message);
    this.#finish(decision, { status: 200 });
  }

  /** The CORS fields of the response; undefined if the rule has no CORS policy. */
  #cors({ rule }: Decision): FieldList | undefined {
    return corsFields(rule, this.#parsed?.fields);
  }

  /**
   * Marks this request as the last of its connection. HTTP/2 connections have many requests at once, and end
   * streams instead.
   */
  #endConnection(): void {
    if (!isStream(this.#message)) this.#ended.add(this.#message.socket);
  }

  #refuse(decision: Denied): void {
    if (closesConnection(decision.denial)) this.#endConnection();
    const { realm } = this.#options;
    const status = refuse(this.#message, this.#response, decision.denial, realm, this.#cors(decision));
    this.#finish(decision, { status });
  }

  #forward(parsed: ParsedRequest, decision: Allowed): void {
    const { fields, target } = parsed;
    const { revocations } = this.#options;
    const revocation = revocations.of(decision, this.#message.method, fields, target.query);
    this.#options.forwarder.forward(
      {
        message: this.#message,
        response: this.#response,
        fields,
        peer: this.#record.peer,
        requestId: this.#record.requestId,
        record: this.#record,
        trace: this.#record.trace,
        upstream: decision.rule.upstream,
        preserveHost: decision.rule.preserveHost,
        path: upstreamTarget(decision, target.query),
        isPrivate: decision.query !== undefined,
        nonce: decision.nonce,
        removal: decision.removal,
        timeout: decision.rule.timeout,
        reservedHeaders: this.#table?.reservedHeaders,
        mutations: decision.mutations,
        cors: this.#cors(decision),
        watch: revocation?.watch,
        handshake: this.#handshake(decision),
      },
      (result) => {
        const effect = revocation?.applyAfter(result.upstreamStatus);
        this.#finish(decision, effect === undefined ? result : { ...result, revocation: effect });
      },
    );
  }

  /** The handshake, if the request is a WebSocket handshake; undefined for any other request. */
  #handshake({ subject: { expiresAt } }: Allowed): Handshake | undefined {
    const client = this.#connection;
    const key = client === undefined ? undefined : webSocketKey(this.#message);
    if (client === undefined || key === undefined) return undefined;
    return { client, key, expiresAt, onClose: () => this.#record.leaveLong() };
  }

  /**
   * Ends a request because of an exception in scopegate. The response must never look like an allowed one.
   */
  #crash(error: unknown): void {
    const { onFault, realm } = this.#options;
    onFault('request', error);
    const decision: Denied = { allowed: false, denial: GATEWAY_FAILED };
    try {
      this.#endConnection();
      const status = refuseOrBreakOff(this.#message, this.#response, decision.denial, realm);
      this.#finish(decision, { status });
    } catch (fault) {
      onFault('account of a request', fault);
    }
  }

  #finish(decision: Decision, result: ExchangeResult): void {
    this.#record.write(decision, this.#message.method ?? '', this.#parsed?.target, result);
  }
}

function deny(error: Denied['denial']['error'], reason: string): Denied {
  return { allowed: false, denial: denial(error, reason) };
}
