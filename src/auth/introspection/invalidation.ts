/** Whose answers are to be forgotten. */
export type Invalidation =
  | 'all'
  | { readonly token: string }
  /** All tokens of a subject, a client or a session. */
  | { readonly claim: 'sub' | 'client_id' | 'sid'; readonly value: string };
