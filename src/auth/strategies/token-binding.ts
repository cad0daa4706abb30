import { isDeepStrictEqual } from 'node:util';
import { ConfigError } from '../../document/finding.js';
import { type Denial, type DpopChallenge, denial } from '../../model/errors.js';
import type { DpopProofResult } from '../../model/possession.js';
import type { BindingRules, RequestContext, RequiredPossession, Services } from '../../model/strategy.js';
import type { TokenCredential } from '../../parse/token.js';
import type { HandlerDefaults } from './strategy.js';

/** JSON Schema of `proof_of_possession`. */
export const possessionSchema = {
  enum: ['dpop', 'certificate', 'any'],
  description:
    'Accept only tokens that are bound to a key of the client: dpop (RFC 9449), certificate (RFC 8705), or any (one of the two). Absent: scopegate also accepts tokens that are not bound, and verifies those that are.',
} as const;

/** The result of checking a token's key; undefined if there is nothing to check. */
export type BindingResult =
  | undefined
  | { readonly denial: Denial; readonly nonce?: undefined }
  /** The client has proved that it has the key. */
  | { readonly denial?: undefined; readonly nonce?: string };

const UNVERIFIABLE = 'the token is bound to a key that cannot be verified here';

/**
 * Accepts a token that is bound to a key (`cnf`, RFC 7800) only from a client that has the key. A binding
 * that cannot be verified is refused: if the token were accepted as a plain bearer token, the binding would
 * protect nothing (RFC 9449 §7.1, RFC 8705 §3).
 */
export class TokenBinding implements BindingRules {
  readonly dpop: DpopChallenge | undefined;
  readonly required: RequiredPossession | undefined;

  /** @throws ConfigError if it requires what the settings have turned off */
  constructor(required: RequiredPossession | undefined, { dpopAlgorithms }: HandlerDefaults) {
    if (required === 'dpop' && dpopAlgorithms === undefined) {
      throw new ConfigError(['proof_of_possession'], 'dpop needs the setting proof.dpop.enabled');
    }
    this.required = required;
    this.dpop =
      dpopAlgorithms === undefined
        ? undefined
        : { algorithms: dpopAlgorithms.join(' '), alone: required === 'dpop' };
  }

  /**
   * Checks the key of a token that is otherwise valid.
   *
   * @param claims the introspection answer or the JWT's payload, with `cnf` at its top level (RFC 8705 §3.2)
   *   or in `ext`
   */
  check(
    claims: Readonly<Record<string, unknown>>,
    credential: TokenCredential,
    attempt: RequestContext,
    services: Services,
  ): BindingResult | Promise<BindingResult> {
    const cnf = confirmationOf(claims);
    const { scheme } = credential;
    if (cnf === undefined) {
      if (scheme === undefined && this.required === undefined) return undefined;
      if (services.possession === 'assumed') return undefined;
      return refuse(
        scheme === undefined
          ? 'this resource accepts only tokens that are bound to a key'
          : 'the token is not bound to a key: its scheme is not DPoP',
      );
    }
    if (typeof cnf !== 'object' || cnf === null || Array.isArray(cnf)) return refuse(UNVERIFIABLE);
    const { jkt, 'x5t#S256': certificate, ...others } = cnf as Readonly<Record<string, unknown>>;
    if (Object.keys(others).length > 0 || (jkt === undefined && certificate === undefined)) {
      return refuse(UNVERIFIABLE);
    }
    if (
      (this.required === 'dpop' && jkt === undefined) ||
      (this.required === 'certificate' && certificate === undefined)
    ) {
      return refuse('this resource accepts only tokens that are bound in another way');
    }
    const { possession } = services;
    if (possession === undefined || possession === 'assumed') return refuse(UNVERIFIABLE);
    if (certificate !== undefined) {
      const shown = possession.thumbprint(attempt);
      if (shown === undefined)
        return refuse('the token is bound to a certificate that the client has not shown');
      if (shown !== certificate) return refuse('the token is bound to another certificate');
    }
    if (jkt === undefined) {
      return scheme === undefined
        ? PROVED
        : refuse('the token is not bound to a DPoP key: its scheme is not DPoP');
    }
    if (possession.dpop === undefined || typeof jkt !== 'string') return refuse(UNVERIFIABLE);
    if (scheme === undefined)
      return refuse('the token is bound to a key: it must come with the scheme DPoP and a proof');
    return possession.dpop({ ...attempt, token: credential.token, jkt }).then(settle);
  }
}

/**
 * Reads which key a token is bound to. Hydra's answers have no `cnf` of their own: the login application puts
 * it into `ext`.
 *
 * @returns undefined if the token is bound to no key; null if it names two different ones
 */
function confirmationOf({ cnf, ext }: Readonly<Record<string, unknown>>): unknown {
  const inside =
    typeof ext === 'object' && ext !== null && Object.hasOwn(ext, 'cnf')
      ? (ext as { readonly cnf: unknown }).cnf
      : undefined;
  if (inside === undefined || inside === null) return cnf;
  return cnf === undefined || isDeepStrictEqual(cnf, inside) ? inside : null;
}

const PROVED: BindingResult = {};

function settle(result: DpopProofResult): BindingResult {
  if (result.ok) return result;
  const { error, reason, nonce } = result;
  const more = error === 'overloaded' ? { retryAfter: 1 } : nonce === undefined ? {} : { nonce };
  return { denial: denial(error, reason, more) };
}

function refuse(reason: string): BindingResult {
  return { denial: denial('invalid_token', reason) };
}
