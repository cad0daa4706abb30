import type { IncomingMessage, ServerResponse } from 'node:http';
import { decide } from '../auth/decide.js';
import type { Allowed, Decision, Denied } from '../model/decision.js';
import { denial, GATEWAY_FAILED } from '../model/errors.js';
import type { HeaderMutations } from '../model/mutator.js';
import { type EntranceOptions, RequestRecord } from '../observe/request-record.js';
import { withinTrace } from '../observe/tracing/calls.js';
import { fieldKey } from '../parse/field-names.js';
import { readFields } from '../parse/fields.js';
import { cookieField } from '../proxy/cookie-header.js';
import { drain, refuse, refuseOrBreakOff } from '../proxy/refusal.js';
import { CLIENT_CLOSED } from '../proxy/upstream/interrupted.js';
import {
  type DescribedRequest,
  type DescriptionRefusal,
  type Form,
  readDescribedRequest,
} from './described-request.js';
import { type IdentityHeaders, identityHeaders } from './user-headers.js';

/** What the forward-auth endpoint needs from the running gateway. */
export interface DecisionsOptions extends EntranceOptions {
  /** The path of the endpoint, such as `/decisions`. It begins with `/` and does not end with it. */
  readonly prefix: string;
  readonly describedBy: Form | 'any';
  readonly identity: IdentityHeaders;
}

/** The forward-auth endpoint: proxies ask it whether to let a request through. */
export interface Decisions {
  /** Whether a raw request target belongs to the endpoint. */
  owns(rawTarget: string): boolean;
  /** Answers a call: 200 with the identity headers, or the refusal for the proxy's client. */
  answer(message: IncomingMessage, response: ServerResponse, rawTarget: string): void;
}

/**
 * Builds the endpoint. It uses the same function as the proxy listener to decide about the request that a
 * trusted peer describes. The credentials are those in the call itself.
 */
export function createDecisionEndpoint(options: DecisionsOptions): Decisions {
  const { prefix } = options;
  return {
    owns: (rawTarget) =>
      rawTarget.startsWith(prefix) &&
      (rawTarget.length === prefix.length || '/?'.includes(rawTarget.charAt(prefix.length))),
    answer: (message, response, rawTarget) =>
      new QuestionHandler(options, message, response).decide(rawTarget.slice(prefix.length)),
  };
}

/** The processing of one forward-auth call. */
class QuestionHandler {
  readonly #options: DecisionsOptions;
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #record: RequestRecord;
  #described: DescribedRequest | undefined;
  #reservedHeaders: ReadonlySet<string> | undefined;

  constructor(options: DecisionsOptions, message: IncomingMessage, response: ServerResponse) {
    this.#options = options;
    this.#message = message;
    this.#response = response;
    this.#record = new RequestRecord('decisions', options, message);
  }

  decide(rest: string): void {
    const { admit, realm, rules, services } = this.#options;
    const full = admit('decisions', this.#message.method ?? '');
    if (full !== undefined) {
      refuse(this.#message, this.#response, full, realm);
      return;
    }
    try {
      const described = this.#read(rest);
      if ('refused' in described) {
        this.#settle({ allowed: false, denial: denial(described.error, described.refused) });
        return;
      }
      this.#described = described;
      const table = rules();
      this.#reservedHeaders = table.reservedHeaders?.headers;
      const { method, target, fields, scheme } = described;
      const { peer, requestId, trace } = this.#record;
      const request = { table, method, target, fields, services, peer, requestId, scheme };
      const decision = withinTrace(trace, decide, request);
      if (decision instanceof Promise) {
        decision.then(
          (settled) => this.#settle(settled),
          (error: unknown) => this.#fail(error),
        );
      } else {
        this.#settle(decision);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #read(rest: string): DescribedRequest | DescriptionRefusal {
    if (!this.#record.peer.trusted) {
      return { error: 'untrusted_peer', refused: 'the peer is not listed in trustedProxies' };
    }
    const { describedBy, maxTargetBytes } = this.#options;
    const fields = readFields(this.#message.rawHeaders, this.#message.httpVersion);
    if ('refused' in fields) return fields;
    return readDescribedRequest(
      { method: this.#message.method ?? '', rest, fields },
      describedBy,
      maxTargetBytes,
    );
  }

  #settle(decision: Decision): void {
    this.#record.decided();
    try {
      if (this.#message.socket.destroyed) this.#writeRecord(decision, 0, CLIENT_CLOSED);
      else if (decision.allowed && decision.rule.document !== undefined) this.#refuseDocument(decision);
      else if (decision.allowed) this.#allow(decision);
      else this.#refuse(decision);
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * Refuses a request for a document that scopegate itself publishes. Such a document is public; if the
   * request were allowed, the proxy would serve the upstream's resource at the same path without a token.
   */
  #refuseDocument({ rule }: Allowed): void {
    const reason = 'the gateway serves this document itself, on its proxy listener';
    this.#refuse({ allowed: false, rule, denial: denial('no_rule', reason) });
  }

  #allow(decision: Allowed): void {
    const identity = this.#identity(decision);
    if (identity === undefined) {
      const { rule, subject, introspection } = decision;
      const refused = denial('internal', 'a claim contains a character that cannot be sent');
      this.#refuse({ allowed: false, rule, subject, introspection, denial: refused });
      return;
    }
    this.#response.writeHead(200, [
      'content-length',
      '0',
      'cache-control',
      'no-store',
      ...(decision.nonce === undefined ? [] : ['dpop-nonce', decision.nonce]),
      ...identity,
    ]);
    this.#response.end();
    drain(this.#message);
    this.#writeRecord(decision, 200);
  }

  /**
   * The header fields that tell the proxy the identity. A field that the rule's mutators set replaces
   * scopegate's own field of the same name. Fields that only mutators of other rules set are included, empty,
   * so that a proxy that copies them overwrites what its client sent.
   *
   * @returns undefined if a claim cannot be sent
   */
  #identity({ subject, mutations }: Allowed): string[] | undefined {
    const stated = (mutations?.headers ?? []).flat();
    const names = new Set((mutations?.headers ?? []).map(([name]) => name.toLowerCase()));
    const own = Object.entries(this.#options.identity).filter(([name]) => !names.has(name.toLowerCase()));
    for (const [name] of own) names.add(name.toLowerCase());
    const keys = new Set([...names].map(fieldKey));
    const silent = [...(this.#reservedHeaders ?? [])].filter((name) => !keys.has(fieldKey(name)));
    const { fieldEncoding = 'utf-8' } = this.#options.services;
    const identity = identityHeaders(subject, Object.fromEntries(own), fieldEncoding);
    if (identity === undefined) return undefined;
    return [...identity, ...stated, ...silent.flatMap((name) => [name, '']), ...this.#cookies(mutations)];
  }

  /** The whole Cookie field for the upstream, if the rule's mutators set cookies. */
  #cookies(mutations: HeaderMutations | undefined): string[] {
    if (mutations === undefined || mutations.replaced.cookies.size === 0) return [];
    return [
      'cookie',
      cookieField(this.#described?.fields.cookie ?? '', [mutations.replaced], mutations.cookies),
    ];
  }

  #refuse(decision: Denied): void {
    this.#writeRecord(decision, refuse(this.#message, this.#response, decision.denial, this.#options.realm));
  }

  /** Handles an exception in scopegate. The response is never one that a proxy could take for "allowed". */
  #fail(error: unknown): void {
    const { onFault, realm } = this.#options;
    onFault('decision', error);
    const decision: Denied = { allowed: false, denial: GATEWAY_FAILED };
    const status = refuseOrBreakOff(this.#message, this.#response, decision.denial, realm);
    try {
      this.#writeRecord(decision, status);
    } catch (fault) {
      onFault('account of a decision', fault);
    }
  }

  #writeRecord(decision: Decision, status: number, cause?: string): void {
    const { method = this.#message.method ?? '', target } = this.#described ?? {};
    this.#record.write(decision, method, target, { status, cause });
  }
}
