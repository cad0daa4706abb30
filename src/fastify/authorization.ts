import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify';
import { decide } from '../auth/decide.js';
import { corsFields } from '../listener/cors.js';
import { checkEntry, type EntryChecks } from '../listener/entry-checks.js';
import { preflight } from '../listener/preflight.js';
import type { Allowed, Decision, Denied } from '../model/decision.js';
import { closesConnection, type Denial, denial, GATEWAY_FAILED } from '../model/errors.js';
import type { RuleTable } from '../model/rule.js';
import type { ExchangeResult } from '../model/upstream.js';
import { type EntranceOptions, RequestRecord } from '../observe/request-record.js';
import { withinTrace } from '../observe/tracing/calls.js';
import { type BodyReader, holdBody } from '../parse/form.js';
import { isStream, isUpgrade, type ParsedRequest } from '../parse/parsed-request.js';
import { drain } from '../proxy/refusal.js';
import { CLIENT_CLOSED } from '../proxy/upstream/interrupted.js';
import type { Connections } from './connections.js';
import { RequestDecision } from './decision.js';
import { fieldRecord } from './field-record.js';
import { sendRefusal } from './reply.js';
import { readAsRouted } from './routed-target.js';

/** What decisions need from the plugin. */
export interface AuthorizationOptions extends EntranceOptions, EntryChecks {
  /** The largest header section that is accepted, in bytes. */
  readonly maxHeaderBytes: number;
  /** Whether the router treats `/a` and `/a/` as the same path. */
  readonly ignoresTrailingSlash: boolean;
}

/** One request, from the hook to the end of its response. */
export class Authorization implements BodyReader {
  readonly #options: AuthorizationOptions;
  readonly #ended: WeakSet<Socket>;
  readonly #request: FastifyRequest;
  readonly #reply: FastifyReply;
  readonly #message: IncomingMessage;
  #finished = false;
  /** What the decision was made about. If it changes afterwards, the request is not served. */
  readonly #asked: string;
  readonly record: RequestRecord;
  /** Undefined if the request was refused before it was read. */
  parsed: ParsedRequest | undefined;
  /** Undefined until the decision is made. */
  decision: Decision | undefined;
  table: RuleTable | undefined;
  /** Called if the client leaves before the response has ended. */
  onGone: (() => void) | undefined;
  /** What the exchange with the upstream reports about its end. */
  result: Omit<ExchangeResult, 'status'> = {};

  constructor(
    options: AuthorizationOptions,
    ended: WeakSet<Socket>,
    connections: Connections,
    request: FastifyRequest,
    reply: FastifyReply,
  ) {
    this.#options = options;
    this.#ended = ended;
    this.#request = request;
    this.#reply = reply;
    this.#message = request.raw;
    this.#asked = asked(request.raw);
    this.record = new RequestRecord('fastify', options, request.raw);
    const unwatch = isStream(request.raw)
      ? () => {}
      : connections.watch(request.raw.socket, () => this.#onClose());
    const end = (): void => {
      unwatch();
      this.#onClose();
    };
    reply.raw.once('close', end);
    reply.raw.once('finish', () => {
      // Node also emits `finish` for an HTTP/2 stream that the client has reset.
      this.#finished = !isStream(request.raw);
      end();
    });
  }

  /** @param done called only if the request may go on */
  decide(done: HookHandlerDoneFunction): void {
    try {
      if (this.#message.socket.destroyed) {
        this.decision = {
          allowed: false,
          denial: denial('malformed_request', 'the client closed the connection'),
        };
        this.#abandon();
        return;
      }
      const refused = this.#read();
      if (refused !== undefined) {
        this.refuse({ allowed: false, denial: refused });
        return;
      }
      const decision = this.#ask();
      if (decision instanceof Promise) {
        decision.then(
          (settled) => this.#settle(settled, done),
          (error: unknown) => this.fail('decision', error),
        );
      } else if (decision !== undefined) {
        this.#settle(decision, done);
      }
    } catch (error) {
      this.fail('decision', error);
    }
  }

  /** Called when another hook asks about the same request. */
  again(done: HookHandlerDoneFunction): void {
    if (this.decision?.allowed !== true) return;
    if (this.unchanged) done();
    else this.fail('decision', new Error('the request was changed after it was decided about'));
  }

  /** Whether the request is still the one that the decision was made about. */
  get unchanged(): boolean {
    return asked(this.#message) === this.#asked;
  }

  /** Refuses the request. */
  refuse(decision: Denied): void {
    this.decision = decision;
    this.record.decided();
    this.#publish(decision);
    this.answer(decision.denial);
  }

  /** Answers with an error: the request was refused, or it was allowed and its exchange failed. */
  answer(refused: Denial): void {
    if (closesConnection(refused) && !isStream(this.#message)) {
      this.#ended.add(this.#message.socket);
    }
    const cors = this.decision === undefined ? undefined : this.#cors(this.decision);
    sendRefusal(this.#reply, refused, this.#options.realm, cors);
  }

  /** Handles a bug in scopegate: the response must never look like "allowed". */
  fail(place: string, error: unknown): void {
    const { onFault } = this.#options;
    onFault(place, error);
    this.result = { ...this.result, error: 'internal' };
    try {
      if (this.#reply.raw.headersSent || this.#message.socket.destroyed) {
        this.decision ??= { allowed: false, denial: GATEWAY_FAILED };
        this.#reply.raw.destroy();
        this.#end();
      } else if (this.decision?.allowed === true) {
        this.answer(GATEWAY_FAILED);
      } else {
        this.refuse({ allowed: false, denial: GATEWAY_FAILED });
      }
    } catch (fault) {
      onFault('refusal of a request', fault);
      this.#reply.raw.destroy();
    }
  }

  readBody(length: number): Promise<Buffer | undefined> | undefined {
    // If another hook has read the body, there is nothing left to read.
    return this.#message.readableDidRead ? undefined : holdBody(this.#message, length);
  }

  /**
   * Reads the request as strictly as the gateway does.
   *
   * @returns the refusal, if there is one
   */
  #read(): Denial | undefined {
    const message = this.#message;
    const parsed = readAsRouted(message, this.#options);
    if ('refused' in parsed) return denial(parsed.error, parsed.refused);
    this.parsed = parsed;
    return checkEntry(this.record, parsed.fields, isUpgrade(message), this.#options);
  }

  /** @returns the decision; undefined for a CORS preflight, which this method answers itself */
  #ask(): Decision | Promise<Decision> | undefined {
    const { fields, target } = this.parsed as ParsedRequest;
    const { rules, services } = this.#options;
    const method = this.#message.method ?? '';
    const table = rules();
    this.table = table;
    const asked = preflight(table, method, target, fields);
    if (asked !== undefined) {
      this.decision = asked.decision;
      this.record.decided();
      this.#reply.headers(fieldRecord(asked.fields));
      this.#reply.code(204).send();
      drain(this.#message);
      return undefined;
    }
    const { peer, requestId, trace } = this.record;
    const request = { table, method, target, fields, services, peer, requestId, body: this };
    return withinTrace(trace, decide, request);
  }

  #settle(decision: Decision, done: HookHandlerDoneFunction): void {
    this.record.decided();
    try {
      this.decision = decision;
      // The client left during introspection, so no route runs any more.
      if (this.#message.socket.destroyed) this.#abandon();
      else if (!decision.allowed) this.refuse(decision);
      else if (!this.unchanged) throw new Error('the request was changed while it was decided about');
      else if (decision.rule.document !== undefined) this.#serveDocument(decision);
      else this.#allow(decision, done);
    } catch (error) {
      this.fail('decision', error);
    }
  }

  /** Sends no response, because the client has left. */
  #abandon(): void {
    this.#reply.hijack();
    this.#end();
  }

  #allow(decision: Allowed, done: HookHandlerDoneFunction): void {
    this.#publish(decision);
    this.#reply.headers(fieldRecord(this.#cors(decision) ?? []));
    if (decision.nonce !== undefined) {
      this.#reply.header('dpop-nonce', decision.nonce).header('cache-control', 'no-store');
    } else if (decision.query !== undefined) {
      // The token was in the query (RFC 6750 §2.3).
      this.#reply.header('cache-control', 'private');
    }
    done();
  }

  /** Answers with a document that scopegate itself publishes. */
  #serveDocument(decision: Allowed): void {
    const { text, fields } = decision.rule.document as { text: string; fields: readonly string[] };
    this.#publish(decision);
    this.#reply.headers(fieldRecord([...fields, ...(this.#cors(decision) ?? [])]));
    this.#reply.code(200).send(text);
    drain(this.#message);
  }

  #publish(decision: Decision): void {
    const { requestId } = this.record;
    (this.#request as unknown as { scopegate: RequestDecision }).scopegate = new RequestDecision(
      decision,
      requestId,
    );
  }

  /** The CORS fields for the response; undefined if the rule has no CORS policy. */
  #cors({ rule }: Decision): readonly string[] | undefined {
    return corsFields(rule, this.parsed?.fields);
  }

  /** The response has ended, complete or not. */
  #onClose(): void {
    try {
      if (!this.#isWhole) this.onGone?.();
      this.#end();
    } catch (error) {
      this.#options.onFault('end of a request', error);
    }
  }

  get #isWhole(): boolean {
    const { raw } = this.#reply;
    return this.#finished || (isStream(this.#message) ? raw.writableEnded : raw.writableFinished);
  }

  #end(): void {
    const { raw } = this.#reply;
    const { decision } = this;
    // The client left before the decision. `#settle` records the request when the decision is there.
    if (decision === undefined) return;
    const left = !this.#isWhole && this.result.cause === undefined ? { cause: CLIENT_CLOSED } : {};
    const status = raw.headersSent ? raw.statusCode : 0;
    const { target } = this.parsed ?? {};
    this.record.write(decision, this.#message.method ?? '', target, { status, ...this.result, ...left });
  }
}

/** The parts of a request that the decision is about and that hooks can change. */
function asked({ method, url, headers: { host } }: IncomingMessage): string {
  return `${method} ${host} ${url}`;
}
