import { setTimeout as delay } from 'node:timers/promises';
import { ConfigError } from '../document/finding.js';
import type { RetryLimits } from '../model/authorization-server.js';
import { oathkeeperDurationSchema, oathkeeperDurationSeconds } from '../model/duration.js';
import type { Call, Outbound, Reply } from '../model/outbound.js';

/** The first pause, in milliseconds. It doubles each time. */
const FIRST_PAUSE = 50;
/** The longest time that a rule may make a client wait for retries, in milliseconds. */
const LONGEST = 60_000;

/** JSON Schema of Oathkeeper's `retry`. */
export const retrySchema = {
  type: 'object',
  additionalProperties: false,
  properties: { give_up_after: oathkeeperDurationSchema, max_delay: oathkeeperDurationSchema },
  description:
    'How long scopegate retries a failed call (`give_up_after`, default 1s), and the longest pause between two attempts (`max_delay`, default 100ms).',
} as const;

/**
 * Reads a `retry`.
 *
 * @param at its path in the `config`
 * @returns undefined if there is none
 * @throws ConfigError if it would keep clients waiting for too long
 */
export function readRetry(
  config: { readonly give_up_after?: string; readonly max_delay?: string } | undefined,
  at: readonly string[],
): RetryLimits | undefined {
  if (config === undefined) return undefined;
  const giveUpAfter = oathkeeperDurationSeconds(config.give_up_after ?? '1s') * 1000;
  if (giveUpAfter > LONGEST) throw new ConfigError([...at, 'give_up_after'], 'must be at most 1m');
  return { giveUpAfter, maxDelay: oathkeeperDurationSeconds(config.max_delay ?? '100ms') * 1000 };
}

/**
 * Makes a call, and repeats it as long as it fails.
 *
 * @param retry undefined for a single attempt
 * @returns the first usable reply, or the last failure
 */
export function callAgain(
  services: Pick<Outbound, 'call'>,
  call: Call,
  retry: RetryLimits | undefined,
): Reply | Promise<Reply> {
  const first = services.call(call);
  if (retry === undefined) return first;
  if (!(first instanceof Promise)) return first;
  return repeat(services, call, retry, first);
}

async function repeat(
  services: Pick<Outbound, 'call'>,
  call: Call,
  { giveUpAfter, maxDelay }: RetryLimits,
  first: Promise<Reply>,
): Promise<Reply> {
  const until = performance.now() + giveUpAfter;
  let reply = await first;
  for (let pause = Math.min(FIRST_PAUSE, maxDelay); !reply.ok; pause = Math.min(pause * 2, maxDelay)) {
    if (performance.now() + pause >= until) return reply;
    await delay(pause);
    reply = await services.call(call);
  }
  return reply;
}
