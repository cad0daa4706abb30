import type { IncomingMessage } from 'node:http';
import type { Allowed } from '../model/decision.js';
import { type Denial, denial } from '../model/errors.js';
import type { HeaderMutations, HeaderRemoval } from '../model/mutator.js';
import type { Upstream } from '../model/upstream.js';
import type { RequestTrace } from '../observe/tracing/trace.js';
import type { Fields } from '../parse/fields.js';
import type { Peer } from '../parse/peer.js';
import { FAILURES } from './exchange-errors.js';
import type { IdentityFilter } from './identity-headers.js';
import type { BodyLimits } from './request-body.js';
import { forwardsLeft, requestFields } from './request-headers.js';

/** How all requests are prepared. */
export interface PrepareOptions {
  readonly body: BodyLimits;
  /** The Host field for the upstream: the upstream's own authority, or the client's Host. */
  readonly host: 'upstream' | 'preserve';
  /** Decides which fields only scopegate may set. */
  readonly identity: IdentityFilter;
  /** The gateway's name in Via. */
  readonly via: string;
}

/** One allowed request, before it is sent to its upstream. */
export interface RequestToPrepare {
  readonly message: IncomingMessage;
  readonly fields: Fields;
  readonly peer: Peer;
  readonly requestId: string;
  /** Undefined if tracing is off. */
  readonly trace?: RequestTrace | undefined;
  readonly upstream: Upstream;
  /** Whether the upstream gets the request's Host; undefined means as in the settings. */
  readonly preserveHost?: boolean | undefined;
  /** Exactly the path that the rule matched, with the query. */
  readonly path: string;
  /** Fields and cookies that mutators set on any rule; the client's copies are always removed. */
  readonly reservedHeaders?: HeaderRemoval | undefined;
  /** Fields and cookies of the client that are also removed from this request. */
  readonly removal?: HeaderRemoval | undefined;
  /** The changes by the mutators of this request's rule. */
  readonly mutations?: HeaderMutations | undefined;
}

/**
 * Builds the header fields of a request to an upstream: name, value, name, value …, without those that frame
 * the body.
 *
 * @returns a refusal, if the request must not be sent; `final` if scopegate is its final recipient
 *   (`Max-Forwards: 0`) and answers with 204, because it has nothing to report
 */
export function prepareRequest(
  request: RequestToPrepare,
  options: PrepareOptions,
): string[] | Denial | 'final' {
  const { message, fields, upstream } = request;
  const { maxBytes } = options.body;
  if (maxBytes > 0 && (fields.contentLength ?? 0) > maxBytes) return FAILURES.body_too_large;
  const left = forwardsLeft(message.method, fields);
  if (left === 0) return 'final';
  const headers = requestFields(fields, {
    peer: request.peer,
    identity: options.identity,
    host:
      (request.preserveHost ?? options.host === 'preserve') ? (fields.host as string) : upstream.authority,
    requestId: request.requestId,
    trace: request.trace?.sending(upstream.origin, request.path),
    via: options.via,
    version: message.httpVersion,
    reservedHeaders: request.reservedHeaders,
    removal: request.removal,
    mutations: request.mutations,
    maxForwards: left === undefined ? undefined : left - 1,
  });
  return headers ?? LOOP;
}

const LOOP = denial('loop_detected', 'the request has passed this gateway before');

/**
 * The path and the query of a request to an upstream.
 *
 * @param query the request's own query, with its `?`
 */
export function upstreamTarget(decision: Allowed, query: string): string {
  return (decision.sentPath ?? decision.path) + (decision.query ?? query);
}
