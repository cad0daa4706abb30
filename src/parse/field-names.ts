import { TOKEN } from './grammar.js';

/** Names that occur in most requests and responses. */
const USUAL: readonly string[] = [
  'accept',
  'accept-encoding',
  'accept-language',
  'accept-ranges',
  'access-control-allow-credentials',
  'access-control-allow-origin',
  'age',
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-security-policy',
  'content-type',
  'cookie',
  'date',
  'etag',
  'expires',
  'forwarded',
  'host',
  'keep-alive',
  'last-modified',
  'location',
  'origin',
  'pragma',
  'range',
  'referer',
  'referrer-policy',
  'sec-fetch-dest',
  'sec-fetch-mode',
  'sec-fetch-site',
  'server',
  'set-cookie',
  'strict-transport-security',
  'traceparent',
  'tracestate',
  'transfer-encoding',
  'user-agent',
  'vary',
  'via',
  'x-content-type-options',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-frame-options',
  'x-request-id',
];

/**
 * Maps each usual name, as HTTP/2 and as most HTTP/1.1 senders write it, to lower case. A look-up is cheaper
 * than `toLowerCase` for every field.
 */
const LOWER: ReadonlyMap<string, string> = new Map(
  USUAL.flatMap((name) => [
    [name, name],
    [name.replace(/(?:^|-)[a-z]/g, (letter) => letter.toUpperCase()), name],
  ]),
);

/** Whether a text is a valid field name (RFC 9110 §5.1). */
export function isFieldName(text: string): boolean {
  return LOWER.has(text) || TOKEN.test(text);
}

/** A field's name in lower case: field names are case-insensitive (RFC 9110 §5.1). */
export function lowerName(name: string): string {
  return LOWER.get(name) ?? name.toLowerCase();
}

/**
 * A field's name as CGI, WSGI, PHP and similar upstreams read it. They make variables of names, and write every
 * character that is neither letter nor digit in the same way. So they read `X_User` and `X.User` as `X-User`.
 *
 * @param lower in lower case
 */
export function fieldKey(lower: string): string {
  // A leading `$` marks WebSphere's private fields.
  return lower.replace(/(?!^\$)[^a-z0-9]/g, '-');
}
