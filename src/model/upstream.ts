import type { ServerTls } from '../tls/connector.js';

/** Where a rule's requests go. */
export interface Upstream {
  /** `http://name:port` or `https://name:port`; no path. */
  readonly origin: string;
  /** What the upstream gets as Host: its own authority. */
  readonly authority: string;
}

/** TLS towards one upstream. */
export interface UpstreamTls {
  /** False takes any certificate. */
  readonly verify: boolean;
  /** What is trusted and shown, read before each connection. */
  readonly identity: () => ServerTls;
}
