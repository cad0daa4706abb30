/** A token as long as Hydra's opaque ones; the number leads to it again. */
export function tokenOf(number: number): string {
  return `ory_at_${String(number).padStart(43, 'a')}.${'b'.repeat(43)}`;
}

/** The token of whoever needs but one. */
export const TOKEN = tokenOf(0);

/** Who issued every token: `iss` of the authorization server's answers. */
export const ISSUER = 'http://127.0.0.1:4444';

/** A token that the authorization server calls inactive. */
export const INACTIVE = `${tokenOf(1)}~inactive`;

/** An active token without the scope that the rule requires. */
export const NARROW = `${tokenOf(2)}~narrow`;
