import type { ActiveAnswer } from '../../model/introspection.js';
import { memorySize, textSize } from '../../model/memory-size.js';

/** Memory of an entry without its claims, in bytes: its key, its place in the cache, and its times. */
const ENTRY = 304;
const PLACE = 8;

/**
 * Estimates how much memory a cached answer takes, in bytes, so that a limit in bytes holds for answers of any size.
 * `npm run bench -- --only cache` prints the estimate beside a measurement.
 */
export function entrySize({ claims, scopes, audience }: ActiveAnswer): number {
  return ENTRY + memorySize(claims) + listSize(scopes, claims) + listSize(audience, claims);
}

/** A list of strings that was made from a claim. A list that is itself a claim has been counted already. */
function listSize(texts: readonly string[], claims: ActiveAnswer['claims']): number {
  if (Object.values(claims).includes(texts)) return 0;
  let bytes = PLACE * texts.length;
  for (const text of texts) bytes += textSize(text);
  return bytes;
}
