import { AsyncLocalStorage } from 'node:async_hooks';
import type { CallPurpose, CallSpan, RequestTrace } from './trace.js';

const current = new AsyncLocalStorage<RequestTrace>();

/**
 * Runs a function for a request, so that the calls it makes, now or later, get spans within the request's.
 *
 * @param trace undefined if tracing is off; then nothing is stored, and it costs nothing
 */
export function withinTrace<A, R>(trace: RequestTrace | undefined, run: (argument: A) => R, argument: A): R {
  return trace === undefined ? run(argument) : current.run(trace, run, argument);
}

/**
 * Begins the span of a call.
 *
 * @param url the called URL; its query and credentials are not recorded
 * @returns undefined if the call is made for no request that is traced
 */
export function startCallSpan(purpose: CallPurpose, method: string, url: string): CallSpan | undefined {
  return current.getStore()?.calling(purpose, method, url);
}
