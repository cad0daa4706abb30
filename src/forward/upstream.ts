/** Where a rule's requests go. */
export interface Upstream {
  /** `http://name:port` or `https://name:port`; no path. */
  readonly origin: string;
  /** What the upstream gets as Host: its own authority. */
  readonly authority: string;
}
