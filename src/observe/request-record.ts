import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Decision } from '../model/decision.js';
import { type Denial, ERRORS } from '../model/errors.js';
import type { RuleTable } from '../model/rule.js';
import type { Services } from '../model/strategy.js';
import type { ExchangeResult } from '../model/upstream.js';
import { connectionOf } from '../parse/parsed-request.js';
import type { Peer } from '../parse/peer.js';
import { requestIdOf } from '../parse/request-id.js';
import type { Target } from '../parse/target.js';
import type { Audit, AuditEntry, Entrance } from './audit.js';
import type { RequestTrace, Tracing } from './tracing/trace.js';

/** What every entrance of the gateway needs to decide about requests and to account for them. */
export interface EntranceOptions {
  /** The rules in force; asked once a request, so that one request sees one set. */
  readonly rules: () => RuleTable;
  readonly services: Services;
  readonly peerOf: (socket: Socket) => Peer;
  /** Asked for every request, before anything is read of it: what to answer where there is no room for it. */
  readonly admit: (entrance: Entrance, method: string) => Denial | undefined;
  /** The count of requests that `admit` lets in. */
  readonly inFlight: InFlight;
  /** Told of every request that was let in, once it is over. */
  readonly audit: Audit;
  /** Undefined where tracing is off. */
  readonly tracing?: Tracing | undefined;
  /** Is told of exceptions: each ended one exchange, and no other. */
  readonly onFault: OnFault;
  readonly realm: string;
  /** Longer request-targets are refused, in bytes. */
  readonly maxTargetBytes: number;
}

/** The count of requests in flight, which is limited. */
export interface InFlight {
  /** One counts no more. */
  leave(): void;
  /** One counts again. @returns false where there is no room for it */
  rejoin(): boolean;
}

/** One request's account: who asked and when, and, once it is over, the one audit line about it. */
export class RequestRecord {
  readonly entrance: Entrance;
  readonly peer: Peer;
  readonly requestId: string;
  /** Undefined where tracing is off. */
  readonly trace: RequestTrace | undefined;
  readonly #audit: Audit;
  readonly #inFlight: InFlight;
  #counts = true;
  readonly #started = performance.now();
  #decided: number | undefined;
  #written = false;

  constructor(
    entrance: Entrance,
    { audit, inFlight, peerOf, tracing }: EntranceOptions,
    message: IncomingMessage,
  ) {
    this.entrance = entrance;
    this.#audit = audit;
    this.#inFlight = inFlight;
    this.peer = peerOf(connectionOf(message));
    this.requestId = requestIdOf(message, this.peer);
    this.trace = tracing?.begin(entrance, message, this.peer, this.#started);
  }

  /** The decision has been made. */
  decided(): void {
    this.#decided ??= performance.now();
  }

  /** Its body is awaited, or it lasts: it takes no place among the requests in flight. */
  leaveInFlight(): void {
    if (this.#counts && !this.#written) this.#inFlight.leave();
    this.#counts = false;
  }

  /** It takes a place among them again. @returns false where there is no room for it */
  rejoinInFlight(): boolean {
    this.#counts ||= this.#inFlight.rejoin();
    return this.#counts;
  }

  /**
   * Writes the audit line; a fault after the end does not count one request twice.
   *
   * @param method and `target` as they were asked for; no target where it was refused
   */
  write(decision: Decision, method: string, target: Target | undefined, result: ExchangeResult): void {
    if (this.#written) return;
    this.leaveInFlight();
    this.#written = true;
    const now = performance.now();
    const decisionMs = (this.#decided ?? now) - this.#started;
    const entry = entryOf(this, method, target, decision, result, decisionMs, now - this.#started);
    this.#audit(entry);
    this.trace?.end(entry, {
      decided: this.#decided,
      introspected: decision.introspection?.since,
      ended: now,
      route: decision.rule?.path,
    });
  }
}

/** Accounts for a request of which Node's parser could read no more than that it is none. */
export function recordBrokenRequest(
  { admit, audit, inFlight, peerOf }: EntranceOptions,
  socket: Socket,
  { error, reason }: Denial,
): void {
  // Where there is no room even for that, it is counted there.
  if (admit('proxy', '') !== undefined) return;
  const asked = {
    entrance: 'proxy',
    requestId: randomUUID(),
    trace: undefined,
    peer: peerOf(socket),
  } as const;
  const denied = { allowed: false, denial: { error, reason } } as const;
  inFlight.leave();
  audit(entryOf(asked, '', undefined, denied, { status: ERRORS[error].code }, 0, 0));
}

/** @param decisionMs and `ms`: what the decision and all took, in milliseconds */
function entryOf(
  asked: Pick<RequestRecord, 'entrance' | 'requestId' | 'trace' | 'peer'>,
  method: string,
  target: Target | undefined,
  decision: Decision,
  result: ExchangeResult,
  decisionMs: number,
  ms: number,
): AuditEntry {
  const denied = decision.allowed ? undefined : decision.denial;
  return {
    entrance: asked.entrance,
    requestId: asked.requestId,
    traceId: asked.trace?.traceId,
    peer: asked.peer.address,
    method,
    host: target?.host,
    path: decision.allowed ? decision.path : target?.path,
    rule: decision.rule?.id,
    decision: decision.allowed ? 'allow' : 'deny',
    error: denied?.error ?? result.error,
    reason: denied?.reason,
    subject: decision.subject?.subject,
    clientId: decision.subject?.clientId,
    introspection: decision.introspection?.from,
    introspectionMs: decision.introspection?.ms,
    decisionMs,
    status: result.status,
    upstreamStatus: result.upstreamStatus,
    upstreamMs: result.upstreamMs,
    cause: result.cause,
    ms,
  };
}

/** Is told of an exception that ended one exchange. @param place where it was caught, in a few words for the log */
export type OnFault = (place: string, error: unknown) => void;
