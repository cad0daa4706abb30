import type { Denial } from '../../model/errors.js';
import type { Outbound } from '../../model/remote.js';
import type { Session } from './session.js';

/** What mutators need from the running gateway. */
export interface MutatorServices {
  readonly call: Outbound['call'];
  /** Seconds since 1970. */
  now(): number;
}

/** One compiled mutator of one rule. */
export interface Mutator {
  /** The header fields it may set, as written. */
  readonly headers: readonly string[];
  /** The cookies it may set. */
  readonly cookies: readonly string[];
  /** The public keys by which what it signs is verified (RFC 7517). */
  readonly keys: readonly PublicKey[];
  /** Changes the session, or says why the request cannot go on. */
  mutate(session: Session, services: MutatorServices): Denial | undefined | Promise<Denial | undefined>;
}

/** A public JSON Web Key. */
export interface PublicKey {
  readonly kid: string;
  readonly [member: string]: unknown;
}

/** A kind of mutator, registered in `table.ts`. */
export interface MutatorKind {
  readonly name: string;
  /** JSON Schema (draft-07) of its `config`. */
  readonly schema: Readonly<Record<string, unknown>>;
  /**
   * @param config already valid against `schema`
   * @returns undefined for one that changes nothing
   * @throws ConfigError when a value fits the schema and cannot work
   */
  compile(config: Readonly<Record<string, unknown>>): Mutator | undefined;
}
