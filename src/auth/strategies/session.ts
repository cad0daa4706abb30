import { membersOf } from '../../model/json.js';
import type { Subject } from '../../model/strategy.js';

/** What mutators and authorizers read as `.Extra`. */
export type Extra = Readonly<Record<string, unknown>>;

/** What the authorization server itself says about a token. `ext` holds what a login application adds. */
const OF_THE_SERVER = ['username', 'client_id', 'scope', 'aud'];

/**
 * The session of an introspected token as Oathkeeper has it: the members of the answer's `ext`, then
 * `username`, `client_id`, `scope` and `aud`. Because a login application writes `ext`, a member of the
 * answer itself takes precedence over one of the same name in `ext`, and the four names are never read from
 * `ext`.
 */
export function introspectionExtra({ claims = {}, clientId = '', scopes = [] }: Subject): Extra {
  const { ext, username, scope, aud } = claims;
  const lifted = Object.entries(membersOf(ext));
  const audience = typeof aud === 'string' ? [aud] : aud;
  return Object.fromEntries([
    ...lifted
      .filter(([name]) => !OF_THE_SERVER.includes(name))
      .map(([name, value]): [string, unknown] => [name, Object.hasOwn(claims, name) ? claims[name] : value]),
    ['username', typeof username === 'string' ? username : ''],
    ['client_id', clientId],
    ['scope', typeof scope === 'string' ? scope : scopes.join(' ')],
    ...(Array.isArray(audience) && audience.length > 0 ? [['aud', audience]] : []),
  ]) as Extra;
}

/** The name of the claim that holds a JWT's scopes, in Oathkeeper's order; undefined if there is none. */
export function scopeClaim(claims: Extra): string | undefined {
  return ['scp', 'scope', 'scopes'].find((name) => Object.hasOwn(claims, name));
}

/**
 * The session of a JWT as Oathkeeper has it: its claims, but with the scopes as the list `scp` instead of the
 * claim that holds them.
 */
export function jwtExtra({ claims = {}, scopes = [] }: Subject): Extra {
  const said = scopeClaim(claims);
  return Object.fromEntries([
    ...Object.entries(claims).filter(([name]) => name !== said),
    ['scp', scopes],
  ]) as Extra;
}
