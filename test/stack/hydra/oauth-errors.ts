import { HydraError } from './client.js';

/** The sentences of RFC 6749 §5.2 that begin Hydra's descriptions. */
const SENTENCES = {
  invalid_request:
    'The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed.',
  invalid_client:
    'Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method).',
  invalid_grant:
    'The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.',
  unauthorized_client: 'The client is not authorized to request a token using this method.',
  invalid_scope: 'The requested scope is invalid, unknown, or malformed.',
} as const;

/** What Hydra says of an invalid request where it has no other hint. */
export const CHECK_PARAMETERS =
  'Make sure that the various parameters are correct, be aware of case sensitivity and trim your parameters. Make sure that the client you are using has exactly whitelisted the redirect_uri you specified.';

/** An error answer of the OAuth endpoints: the sentence, then a hint. */
export function oauthError(error: keyof typeof SENTENCES, hint = ''): HydraError {
  const status = error === 'invalid_client' ? 401 : 400;
  return new HydraError(status, error, `${SENTENCES[error]} ${hint}`.trim());
}
