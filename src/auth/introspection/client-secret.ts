/**
 * Builds the Authorization field of a client with a secret (RFC 6749 §2.3.1). Both parts are form-encoded
 * before Base64; a server would misread a raw `+`, `%` or `:`.
 */
export function basicCredentials(clientId: string, clientSecret: string): string {
  const pair = `${formEncode(clientId)}:${formEncode(clientSecret)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** Encodes one value as `application/x-www-form-urlencoded` (WHATWG URL §5.2). */
export function formEncode(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2);
}
