import type { Child } from './child.js';

/** Where the parts of one run stand. */
export interface Surroundings {
  /** A folder of the contender's own for configuration and state. */
  readonly folder: string;
  /** The port it must listen on. */
  readonly port: number;
  readonly upstreamPort: number;
  /** `http://127.0.0.1:…/introspect` */
  readonly introspectionUrl: string;
  /** The same over TLS, with a certificate of no known authority. */
  readonly secureIntrospectionUrl: string;
  /** Writes a profile of a Node contender there. */
  readonly profile?: string;
  /** It must listen with TLS, with HTTP/1.1 and HTTP/2. */
  readonly tls?: TlsFiles;
}

/** PEM files of the server certificate. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Both in one file, the key first, for those that want it so. */
  readonly both: string;
}

/** What is measured. */
export interface Contender {
  readonly name: string;
  /** Whether it introspects; what does not can only be compared in the situation of a cached hit. */
  readonly introspects: boolean;
  /** Whether it can serve TLS with HTTP/1.1 and HTTP/2, if the surroundings ask for it. */
  readonly secure?: boolean;
  /** Whether it is an application with the plugin, which has a page of its own and is not in every situation. */
  readonly plugin?: boolean;
  /** Seconds within which it must listen, if more than most need. */
  readonly patience?: number;
  /** Where it does less or other work than scopegate on purpose: a sentence for the tables, and the status it gives instead. */
  readonly differs?: { readonly how: string; readonly narrow?: number; readonly inactive?: number };
  /** Why it cannot run here, or undefined. */
  missing(): string | undefined;
  start(surroundings: Surroundings): Child | Promise<Child>;
}
