/**
 * Header fields that scopegate sets itself on introspection calls, in lower case. Rules and settings must not
 * set them, because they frame or describe the request.
 */
export const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Merges header fields; later ones replace earlier ones. Names become lower case, so that one field in two
 * spellings is not sent twice.
 */
export function withHeaders(
  ...layers: readonly Readonly<Record<string, string>>[]
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    layers.flatMap((fields) => Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value])),
  );
}
