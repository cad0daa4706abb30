import { denial } from '../../model/errors.js';
import type { AccessStrategy } from '../../model/strategy.js';
import { type Credential, readCredential, type TokenSource } from '../../parse/token.js';
import { tokenFrom } from './config.js';
import {
  judgeSession,
  readSessionCheck,
  type SessionCheckConfig,
  sessionCall,
  sessionCheckProperties,
  sessionCheckWarnings,
} from './session-check.js';
import type { Handler } from './strategy.js';

/**
 * Oathkeeper's `bearer_token` authenticator: scopegate sends the request's bearer token to a session store,
 * which says whether it belongs to a session, and whose. A token that does not begin with `prefix` is left to
 * the rule's next access strategy.
 */
export const bearerToken: Handler = {
  name: 'bearer_token',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['check_session_url'],
    properties: {
      ...sessionCheckProperties,
      prefix: { type: 'string', description: 'The handler checks only tokens that begin with this text.' },
      token_from: tokenFrom,
    },
  },
  compile(config): AccessStrategy {
    const source = (config.token_from as PlainSource | null | undefined) ?? undefined;
    const prefix = (config.prefix as string | undefined) ?? '';
    const check = readSessionCheck(config as unknown as SessionCheckConfig, fieldOf(source), 'sub');
    const inQuery = source !== undefined && 'query_parameter' in source;
    return {
      handler: 'bearer_token',
      warnings: sessionCheckWarnings(check),
      session: check,
      readsTokens: true,
      requiredScopes: [],
      tokenSources: source === undefined ? undefined : [source],
      authenticate(attempt, services) {
        // None of these sources is in the body, so the result is never a promise.
        const credential = readCredential(attempt, source && [source], false) as Credential;
        if (credential.kind === 'malformed') {
          return { kind: 'deny', denial: denial('invalid_request', credential.reason) };
        }
        if (credential.kind === 'none' || !credential.token.startsWith(prefix)) return { kind: 'pass' };
        let call = sessionCall(check, attempt);
        // The call may leave the client's query out, but it must not leave the token out.
        if (inQuery) {
          call = { ...call, headers: { ...call.headers, authorization: `Bearer ${credential.token}` } };
        }
        const reply = services.call(call);
        return reply instanceof Promise
          ? reply.then((settled) => judgeSession(check, settled))
          : judgeSession(check, reply);
      },
    };
  },
};

type PlainSource = Exclude<TokenSource, { readonly form_parameter: string }>;

/** The lower-case name of the field in which the store finds the token. */
function fieldOf(source: PlainSource | undefined): string | undefined {
  if (source === undefined) return 'authorization';
  if ('header' in source) return source.header.toLowerCase();
  return 'cookie' in source ? 'cookie' : undefined;
}
