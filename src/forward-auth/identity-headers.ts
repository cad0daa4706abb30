import type { Subject } from '../model/strategy.js';

/** Field name → the claim in it: `sub`, `scope`, `client_id`, or the name of another claim of the token. */
export type IdentityHeaders = Readonly<Record<string, string>>;

/**
 * Builds the header fields that tell a proxy the subject of an allowed request, so that it can copy them to
 * the upstream. All fields are always present, and empty if there is no value: a proxy that copies them then
 * overwrites what its client sent under these names.
 *
 * @returns name, value, name, value …
 */
export function identityHeaders(subject: Subject, fields: IdentityHeaders): string[] {
  return Object.entries(fields).flatMap(([name, claim]) => [name, fieldValue(claimOf(subject, claim))]);
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
 * Writes a claim as a field value: plain values as text, lists of texts joined by spaces, as scopes are.
 * Characters other than printable ASCII are percent-encoded as UTF-8, and so is `%`. Claims may contain user
 * input; the encoding ensures that no value can end the header field or imitate another one.
 */
function fieldValue(value: unknown): string {
  if (Array.isArray(value)) {
    return value
      .filter((item) => typeof item === 'string')
      .map((item) => encode(item).replaceAll(' ', '%20'))
      .join(' ');
  }
  if (typeof value === 'string') return encode(value).replace(/^ +| +$/g, (run) => '%20'.repeat(run.length));
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

function encode(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd').replace(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent);
}
