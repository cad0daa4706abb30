import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Decision } from '../model/decision.js';
import { type Denial, ERRORS } from '../model/errors.js';
import type { RuleTable } from '../model/rule.js';
import { SWITCHING_PROTOCOLS } from '../model/statuses.js';
import type { Services } from '../model/strategy.js';
import type { ExchangeResult } from '../model/upstream.js';
import { connectionOf } from '../parse/parsed-request.js';
import type { Peer } from '../parse/peer.js';
import { requestIdOf } from '../parse/request-id.js';
import type { Target } from '../parse/target.js';
import type { Audit, AuditEntry, Entrance } from './audit.js';
import type { RequestShare } from './client-shares.js';
import type { RequestTrace, Tracing } from './tracing/trace.js';

/** What both entrances need to decide about requests and to record them. */
export interface EntranceOptions {
  /** Returns the rule table in use. It is called once per request, so that a request sees one table. */
  readonly rules: () => RuleTable;
  readonly services: Services;
  readonly peerOf: (socket: Socket) => Peer;
  /**
   * Called for every request before it is read.
   *
   * @returns the refusal if overload protection refuses the request; undefined otherwise
   */
  readonly admit: (entrance: Entrance, method: string) => Denial | undefined;
  /** The count of admitted requests. */
  readonly inFlight: InFlight;
  /** Receives the entry of every admitted request when it ends. */
  readonly audit: Audit;
  /** Undefined if tracing is off. */
  readonly tracing?: Tracing | undefined;
  /** Receives exceptions. Each ended one exchange and no other. */
  readonly onFault: OnFault;
  readonly realm: string;
  /** The longest request target that is accepted, in bytes. */
  readonly maxTargetBytes: number;
}

/** The count of requests in flight, which is limited. */
export interface InFlight {
  /** A request no longer counts. */
  leave(): void;
  /**
   * A request counts again.
   *
   * @returns false if the limit is reached
   */
  rejoin(): boolean;
}

/**
 * The record of one request: its peer, identifier and times. When the request ends, it writes one audit line.
 */
export class RequestRecord {
  readonly entrance: Entrance;
  readonly peer: Peer;
  readonly requestId: string;
  /** Undefined if tracing is off. */
  readonly trace: RequestTrace | undefined;
  readonly #audit: Audit;
  readonly #inFlight: InFlight;
  #counts = true;
  /** Undefined if there are no limits for each client, or the request is not parsed yet. */
  #share: RequestShare | undefined;
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

  /** Records the time of the decision. The first call counts. */
  decided(): void {
    this.#decided ??= performance.now();
  }

  /**
   * Counts the request in its client's share.
   *
   * @returns false if the client has reached its limit of requests in flight
   */
  takeShare(share: RequestShare): boolean {
    this.#share = share;
    return share.joinInFlight();
  }

  /** The request no longer counts as in flight: its body is still arriving, or its exchange is long. */
  leaveInFlight(): void {
    if (this.#counts && !this.#written) this.#inFlight.leave();
    this.#counts = false;
    this.#share?.leaveInFlight();
  }

  /**
   * The request counts as in flight again.
   *
   * @returns which limit is reached; undefined if none is
   */
  rejoinInFlight(): 'in_flight' | 'client_share' | undefined {
    this.#counts ||= this.#inFlight.rejoin();
    if (!this.#counts) return 'in_flight';
    return this.#share?.joinInFlight() === false ? 'client_share' : undefined;
  }

  /** The exchange is long. @returns false if the client has reached its limit of long exchanges */
  joinLong(): boolean {
    return this.#share?.joinLong() ?? true;
  }

  /** The exchange is not long any more. */
  leaveLong(): void {
    this.#share?.leaveLong();
  }

  /**
   * Writes the audit line and ends the trace. Only the first call counts, so that an exception after the end
   * does not record a request twice.
   *
   * @param method the requested method
   * @param target the requested target; undefined if it was refused
   * @param result how the exchange ended
   */
  write(decision: Decision, method: string, target: Target | undefined, result: ExchangeResult): void {
    if (this.#written) return;
    this.leaveInFlight();
    // A WebSocket goes on when its handshake is over.
    if (result.status !== SWITCHING_PROTOCOLS) this.leaveLong();
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

/** Records a request that Node's parser could not parse. */
export function recordBrokenRequest(
  { admit, audit, inFlight, peerOf }: EntranceOptions,
  socket: Socket,
  { error, reason }: Denial,
): void {
  // If overload protection refuses the request, it counts it itself.
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

/**
 * Builds the audit entry.
 *
 * @param decisionMs milliseconds until the decision
 * @param ms milliseconds until the end of the response
 */
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
  const wouldDeny = decision.allowed ? decision.wouldDeny : undefined;
  return {
    entrance: asked.entrance,
    requestId: asked.requestId,
    traceId: asked.trace?.traceId,
    peer: asked.peer.address,
    method,
    host: target?.host,
    path: decision.allowed ? decision.path : target?.path,
    upstreamPath: decision.allowed ? decision.sentPath : undefined,
    rule: decision.rule?.id,
    decision: decision.allowed ? 'allow' : 'deny',
    wouldDeny: wouldDeny?.error,
    error: denied?.error ?? result.error,
    reason: (denied ?? wouldDeny)?.reason,
    subject: decision.subject?.subject,
    clientId: decision.subject?.clientId,
    introspection: decision.introspection?.from,
    introspectionMs: decision.introspection?.ms,
    decisionMs,
    status: result.status,
    upstreamStatus: result.upstreamStatus,
    upstreamMs: result.upstreamMs,
    cause: result.cause ?? (denied ?? wouldDeny)?.cause,
    revocation: result.revocation,
    ms,
  };
}

/**
 * Receives an exception that ended one exchange.
 *
 * @param place where it was caught, in a few words for the log
 */
export type OnFault = (place: string, error: unknown) => void;
