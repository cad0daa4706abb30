/**
 * Fields that belong to one connection. They are never forwarded, even if Connection does not list them
 * (RFC 9110 §7.6.1; Go's and Caddy's reverse proxies use the same list).
 */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Fields that must not be sent in trailers, or merged from them: framing, routing, authentication (RFC 9110
 * §6.5.1).
 */
export const NEVER_A_TRAILER: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'authorization',
  'cache-control',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'date',
  'expect',
  'expires',
  'host',
  'location',
  'max-forwards',
  'pragma',
  'range',
  'retry-after',
  'set-cookie',
  'vary',
  'www-authenticate',
]);

/**
 * Fields that a response must have only once. For example, a server and the proxy before it may both add
 * `X-Content-Type-Options`. If the values differ, some clients use the first and some the last (RFC 9110
 * §5.3). These are the names that Node refuses to write twice over HTTP/2.
 */
export const SINGLE_VALUE: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
]);

/**
 * Fields of {@link SINGLE_VALUE} whose value is nevertheless a list. Several of them are joined into one
 * (RFC 9110 §8.4, §8.5).
 */
export const JOINED: ReadonlySet<string> = new Set(['content-encoding', 'content-language']);
