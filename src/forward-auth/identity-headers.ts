import type { Subject } from '../model/strategy.js';

/** Field name → what it tells: `sub`, `scope`, `client_id`, or the name of another claim of the token. */
export type IdentityHeaders = Readonly<Record<string, string>>;

/**
 * The header fields that tell a proxy who an allowed request acts for, for it to copy to the upstream. All of them
 * are always there, empty where there is nothing to tell: a proxy that copies them then overwrites whatever its
 * client has sent under these names.
 *
 * @returns name, value, name, value …
 */
export function identityHeaders(subject: Subject, fields: IdentityHeaders): string[] {
  return Object.entries(fields).flatMap(([name, claim]) => [name, fieldValue(told(subject, claim))]);
}

function told(subject: Subject, claim: string): unknown {
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
 * Plain values as text; lists of texts joined by spaces, as scopes are. What is no printable ASCII is percent-encoded
 * as UTF-8, and so is `%`: claims are the authorization server's users' input, and no value of theirs can end a
 * header field or pretend to be another one.
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
