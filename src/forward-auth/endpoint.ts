import type { IncomingMessage, ServerResponse } from 'node:http';
import { decide } from '../auth/decide.js';
import type { Allowed, Decision, Denied } from '../model/decision.js';
import { denial } from '../model/errors.js';
import type { HeaderMutations } from '../model/mutator.js';
import { type EntranceOptions, RequestRecord } from '../observe/request-record.js';
import { readFields } from '../parse/fields.js';
import { cookieField } from '../proxy/cookie-header.js';
import { drain, refuse, refuseOrBreakOff } from '../proxy/refusal.js';
import {
  type DescribedRequest,
  type DescriptionRefusal,
  type Form,
  readDescribedRequest,
} from './described-request.js';
import { type IdentityHeaders, identityHeaders } from './identity-headers.js';

/** What the endpoint needs of the running gateway. */
export interface DecisionsOptions extends EntranceOptions {
  /** The path questions come to, such as `/decisions`: begins with `/`, does not end with it. */
  readonly prefix: string;
  readonly describedBy: Form | 'any';
  readonly identity: IdentityHeaders;
}

/** Answers proxies that ask whether to let a request through (forward-auth). */
export interface Decisions {
  /** Whether a raw request-target is a question. */
  owns(rawTarget: string): boolean;
  /** Answers one: 200 with the identity, or what the proxy's client is to be told. */
  answer(message: IncomingMessage, response: ServerResponse, rawTarget: string): void;
}

/**
 * Builds the endpoint. It decides by the very function that the proxy decides by, about the request that a trusted
 * peer describes; the credentials are those the question itself carries.
 */
export function createDecisionEndpoint(options: DecisionsOptions): Decisions {
  const { prefix } = options;
  return {
    owns: (rawTarget) =>
      rawTarget.startsWith(prefix) &&
      (rawTarget.length === prefix.length || '/?'.includes(rawTarget.charAt(prefix.length))),
    answer: (message, response, rawTarget) =>
      new Answering(options, message, response).decide(rawTarget.slice(prefix.length)),
  };
}

/** One question on its way. */
class Answering {
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
      const decision = decide({ table, method, target, fields, services, peer: this.#record.peer, scheme });
      if (decision instanceof Promise) {
        decision.then(
          (settled) => this.#settle(settled),
          (error: unknown) => this.#crash(error),
        );
      } else {
        this.#settle(decision);
      }
    } catch (error) {
      this.#crash(error);
    }
  }

  #read(rest: string): DescribedRequest | DescriptionRefusal {
    if (!this.#record.peer.trusted) {
      return { error: 'untrusted_peer', refused: 'the peer is none of trustedProxies' };
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
      if (this.#message.socket.destroyed) this.#report(decision, 0, 'client_closed');
      else if (decision.allowed && decision.rule.document !== undefined) this.#keep(decision);
      else if (decision.allowed) this.#letThrough(decision);
      else this.#refuse(decision);
    } catch (error) {
      this.#crash(error);
    }
  }

  /** What the gateway itself publishes is open; the upstream's answer at the same place would be as well. */
  #keep({ rule }: Allowed): void {
    const reason = 'the gateway publishes this document itself, at its proxy port';
    this.#refuse({ allowed: false, rule, denial: denial('no_rule', reason) });
  }

  #letThrough(decision: Allowed): void {
    this.#response.writeHead(200, [
      'content-length',
      '0',
      'cache-control',
      'no-store',
      ...(decision.nonce === undefined ? [] : ['dpop-nonce', decision.nonce]),
      ...this.#identity(decision),
    ]);
    this.#response.end();
    drain(this.#message);
    this.#report(decision, 200);
  }

  /**
   * Whom the request acts for; what the rule's mutators say of it stands in place of the same field of ours. What only
   * mutators of other rules say is there as well, empty, so that a proxy that copies it overwrites its client's.
   */
  #identity({ subject, mutations }: Allowed): string[] {
    const stated = (mutations?.headers ?? []).flat();
    const names = new Set((mutations?.headers ?? []).map(([name]) => name.toLowerCase()));
    const own = Object.entries(this.#options.identity).filter(([name]) => !names.has(name.toLowerCase()));
    for (const [name] of own) names.add(name.toLowerCase());
    const silent = [...(this.#reservedHeaders ?? [])].filter((name) => !names.has(name));
    return [
      ...identityHeaders(subject, Object.fromEntries(own)),
      ...stated,
      ...silent.flatMap((name) => [name, '']),
      ...this.#cookies(mutations),
    ];
  }

  /** The whole Cookie field that the upstream is to get, where the rule's mutators set cookies. */
  #cookies(mutations: HeaderMutations | undefined): string[] {
    if (mutations === undefined || mutations.replaced.cookies.size === 0) return [];
    return [
      'cookie',
      cookieField(this.#described?.fields.cookie ?? '', [mutations.replaced], mutations.cookies),
    ];
  }

  #refuse(decision: Denied): void {
    this.#report(decision, refuse(this.#message, this.#response, decision.denial, this.#options.realm));
  }

  /** A fault of our own: never an answer that could be taken for "allowed". */
  #crash(error: unknown): void {
    const { onFault, realm } = this.#options;
    onFault('decision', error);
    const decision: Denied = { allowed: false, denial: denial('internal', 'the gateway failed') };
    const status = refuseOrBreakOff(this.#message, this.#response, decision.denial, realm);
    try {
      this.#report(decision, status);
    } catch (fault) {
      onFault('account of a decision', fault);
    }
  }

  #report(decision: Decision, status: number, cause?: string): void {
    const { method = this.#message.method ?? '', target } = this.#described ?? {};
    this.#record.write(decision, method, target, { status, cause });
  }
}
