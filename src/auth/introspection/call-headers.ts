/** What frames or describes the introspection call; a second opinion would break it. In lower case. */
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

/** Lays fixed header fields over others: names in lower case, so that one field in two spellings is not sent twice. */
export function withHeaders(
  ...layers: readonly Readonly<Record<string, string>>[]
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    layers.flatMap((fields) => Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value])),
  );
}
