import type { AddressedRequest } from '../../model/possession.js';
import { singleField } from '../../parse/fields.js';
import { forwardedScheme } from '../../parse/forwarded-scheme.js';
import { canonicalTarget } from '../../parse/target.js';

const ABSOLUTE = /^(https?):\/\/([^/?#]*)([^?#]*)/i;

/**
 * The URI a client asked for, without query and fragment, in one canonical form (RFC 3986 §6.2.2 and §6.2.3). What a
 * trusted proxy says of scheme and host counts, for the client saw those.
 *
 * @returns undefined where they are not known
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
 * The same of a URI that a client states (`htu`), whose query and fragment are ignored (RFC 9449 §4.3).
 *
 * @returns undefined where it is no http or https URI
 */
export function canonicalUriOf(uri: string): string | undefined {
  const parts = ABSOLUTE.exec(uri);
  if (parts === null) return undefined;
  const [, scheme = '', authority = '', path = ''] = parts;
  const target = canonicalTarget(path === '' ? '/' : path, authority);
  const origin = originOf(scheme, authority);
  return 'refused' in target || origin === undefined ? undefined : origin + (target.unmerged ?? target.path);
}

/** Scheme, host and port; the default port goes unsaid. */
function originOf(scheme: string, authority: string | undefined): string | undefined {
  const lower = scheme.toLowerCase();
  if (authority === undefined || !/^https?$/.test(lower)) return undefined;
  if ('refused' in canonicalTarget('/', authority)) return undefined;
  const text = `${lower}://${authority}`;
  return URL.canParse(text) ? new URL(text).origin : undefined;
}
