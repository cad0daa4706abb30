import { encodeCharacters, encodeFieldValue, type FieldEncoding } from '../model/field-encoding.js';
import type { Subject } from '../model/strategy.js';

/** Field name → the claim in it: `sub`, `scope`, `client_id`, or the name of another claim of the token. */
export type IdentityHeaders = Readonly<Record<string, string>>;

/**
 * Builds the header fields that tell a proxy the subject of an allowed request, so that it can copy them to
 * the upstream. All fields are always present, and empty if there is no value: a proxy that copies them then
 * overwrites what its client sent under these names.
 *
 * @returns name, value, name, value …; undefined if a value cannot be sent
 */
export function identityHeaders(
  subject: Subject,
  fields: IdentityHeaders,
  encoding: FieldEncoding,
): string[] | undefined {
  const headers: string[] = [];
  for (const [name, claim] of Object.entries(fields)) {
    const value = fieldValue(claimOf(subject, claim), encoding);
    if (value === undefined) return undefined;
    headers.push(name, value);
  }
  return headers;
}

function claimOf(subject: Subject, claim: string): unknown {
  switch (claim) {
    case 'sub':
      return subject.subject;
    case 'scope':
      return subject.scopes;
    case 'client_id':
      return subject.clientId;
    default:
      return subject.claims !== undefined && Object.hasOwn(subject.claims, claim)
        ? subject.claims[claim]
        : undefined;
  }
}

/**
 * Writes a claim as a field value: plain values as text, lists of texts joined by spaces, as scopes are. A blank
 * or `%` inside of an item of a list is percent-encoded, so that no item can be taken for two.
 */
function fieldValue(value: unknown, encoding: FieldEncoding): string | undefined {
  if (Array.isArray(value)) {
    const items = value
      .filter((item) => typeof item === 'string')
      .map((item) => encodeCharacters(encoding === 'percent' ? item : item.replaceAll('%', '%25'), encoding));
    if (items.includes(undefined)) return undefined;
    return items.map((item) => item?.replaceAll(' ', '%20')).join(' ');
  }
  const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return plain ? encodeFieldValue(String(value), encoding) : '';
}
