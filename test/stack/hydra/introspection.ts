import type { Core } from './provider.js';
import { grants, words } from './scope.js';
import { canonical } from './spellings.js';

/** Hydra's answer about an active token; tests may add to it or bend it. */
export type Answer = Readonly<Record<string, unknown>>;

/** Where an introspection looks. */
export interface Sources {
  readonly core: Core;
  readonly issuer: string;
  /** Whether the client still exists: Hydra's tokens die with their client. */
  readonly knows: (clientId: string) => boolean;
  /** Members that a test set for one token, laid over the answer. */
  readonly overrides: ReadonlyMap<string, Answer>;
}

/**
 * Answers an introspection as Hydra does (RFC 7662 §2.2): everything that is not an active token is
 * `{"active":false}`, a lookup's failure too.
 *
 * @param form the request's parameters: `token`, and `scope`, all of which must be granted
 */
export async function introspect(form: URLSearchParams, sources: Sources): Promise<Answer> {
  const inactive = { active: false };
  const value = form.get('token') ?? '';
  const token = await sources.core.find(value);
  if (token === undefined || !sources.knows(token.clientId)) return inactive;
  const granted = words(token.scope);
  if (!words(form.get('scope')).every((scope) => grants(granted, scope))) return inactive;
  const { clientId, iat, exp, aud } = token;
  return {
    active: true,
    ...(token.scope === '' ? {} : { scope: token.scope }),
    client_id: clientId,
    sub: clientId,
    exp,
    iat,
    nbf: iat,
    aud,
    iss: sources.issuer,
    token_type: 'Bearer',
    token_use: 'access_token',
    ...sources.overrides.get(canonical(value)),
  };
}
