/**
 * The Authorization field of a client with a secret (RFC 6749 §2.3.1). Both parts are form-encoded before Base64: a
 * raw `+`, `%` or `:` would be read as something else.
 */
export function basicCredentials(clientId: string, clientSecret: string): string {
  const pair = `${formEncode(clientId)}:${formEncode(clientSecret)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** `application/x-www-form-urlencoded` serialisation of one value (WHATWG URL §5.2). */
export function formEncode(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2);
}
