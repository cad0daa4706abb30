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
}

/** What is measured. */
export interface Contender {
  readonly name: string;
  /** Whether it introspects; what does not can only be compared in the situation of a cached hit. */
  readonly introspects: boolean;
  /** Why it cannot run here, or undefined. */
  missing(): string | undefined;
  start(surroundings: Surroundings): Child;
}
