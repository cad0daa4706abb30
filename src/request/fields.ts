/** What one pass over the raw header fields found. */
export interface Fields {
  readonly authorization: string | undefined;
  readonly raw: readonly string[];
}
