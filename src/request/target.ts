/** The one canonical form of what a request asks for: matched, forwarded, logged and explained. */
export interface Target {
  /** Lower-case, without port. */
  readonly host: string;
  readonly path: string;
  /** Starts with `?`, or is empty. Never matched. */
  readonly query: string;
}
