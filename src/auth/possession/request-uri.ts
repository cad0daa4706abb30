import type { AddressedRequest } from '../../model/possession.js';
import { singleField } from '../../parse/fields.js';
import { forwardedScheme } from '../../parse/forwarded-scheme.js';
import { canonicalTarget } from '../../parse/target.js';

const ABSOLUTE = /^(https?):\/\/([^/?#]*)([^?#]*)/i;

/**
 * The URI that the client requested, without query and fragment, in one canonical form (RFC 3986 §6.2.2 and
 * §6.2.3). If a trusted proxy forwards scheme and host, those count, because the client used them.
 *
 * @returns undefined if they are not known
 */
export function requestUriOf({ target, fields, peer, scheme }: AddressedRequest): string | undefined {
  let authority: string | null | undefined = fields.host;
  let asked: string | null | undefined = scheme;
  if (scheme === undefined && peer?.trusted === true) {
    authority = singleField(fields, 'x-forwarded-host') ?? authority;
    if (singleField(fields, 'x-forwarded-host') === null) return undefined;
    asked = forwardedScheme(fields);
    if (asked === null) return undefined;
  }
  asked ??= peer?.secure === true ? 'https' : 'http';
  const origin = originOf(asked, authority);
  return origin === undefined ? undefined : origin + (target.unmerged ?? target.path);
}

/**
 * Brings a URI that a client states (`htu`) into the same form. Query and fragment are ignored (RFC 9449
 * §4.3).
 *
 * @returns undefined if it is not an http or https URI
 */
export function canonicalUriOf(uri: string): string | undefined {
  const parts = ABSOLUTE.exec(uri);
  if (parts === null) return undefined;
  const [, scheme = '', authority = '', path = ''] = parts;
  const target = canonicalTarget(path === '' ? '/' : path, authority);
  const origin = originOf(scheme, authority);
  return 'refused' in target || origin === undefined ? undefined : origin + (target.unmerged ?? target.path);
}

/** Scheme, host and port. The default port is omitted. */
function originOf(scheme: string, authority: string | undefined): string | undefined {
  const lower = scheme.toLowerCase();
  if (authority === undefined || !/^https?$/.test(lower)) return undefined;
  if ('refused' in canonicalTarget('/', authority)) return undefined;
  const text = `${lower}://${authority}`;
  return URL.canParse(text) ? new URL(text).origin : undefined;
}
