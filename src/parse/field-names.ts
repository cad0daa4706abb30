import { TOKEN } from './grammar.js';

/** Names that most requests and answers have. */
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

/** Each as HTTP/2 and as most of HTTP/1.1 writes it, with its lower case: looked up, not worked out anew each time. */
const LOWER: ReadonlyMap<string, string> = new Map(
  USUAL.flatMap((name) => [
    [name, name],
    [name.replace(/(?:^|-)[a-z]/g, (letter) => letter.toUpperCase()), name],
  ]),
);

/** Whether a text can be the name of a field (RFC 9110 §5.1). */
export function isFieldName(text: string): boolean {
  return LOWER.has(text) || TOKEN.test(text);
}

/** A field's name in lower case: case means nothing in it (RFC 9110 §5.1). */
export function lowerName(name: string): string {
  return LOWER.get(name) ?? name.toLowerCase();
}
