import { denial } from '../../model/errors.js';
import type { AccessStrategy, RequestContext } from '../../model/strategy.js';
import { TOKEN } from '../../parse/grammar.js';
import { holdsBearer } from '../../parse/token.js';
import {
  judgeSession,
  readSessionCheck,
  type SessionCheckConfig,
  sessionCall,
  sessionCheckProperties,
  sessionCheckWarnings,
} from './session-check.js';
import type { Handler } from './strategy.js';

/** Two credentials are refused: nobody has verified the token, and the upstream may trust it. */
const TWO_CREDENTIALS = {
  kind: 'deny',
  denial: denial('invalid_request', 'the request carries a session cookie and a token'),
} as const;

/**
 * Oathkeeper's `cookie_session` authenticator: scopegate sends the request's cookies to a session store, such
 * as Ory Kratos, which says whether they belong to a session, and whose. It is responsible for requests with
 * one of the cookies in `only`, or with any cookie if the rule names none.
 */
export const cookieSession: Handler = {
  name: 'cookie_session',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['check_session_url'],
    properties: {
      ...sessionCheckProperties,
      only: {
        type: 'array',
        items: { type: 'string', title: 'the name of a cookie', pattern: TOKEN.source },
        description: 'Names of session cookies; the handler checks only requests with one of them.',
      },
    },
  },
  compile(config): AccessStrategy {
    const only = (config.only as string[] | undefined) ?? [];
    const check = readSessionCheck(config as unknown as SessionCheckConfig, 'cookie', 'subject');
    const none = {
      kind: 'pass',
      denial: denial('no_token', 'the request carries no session cookie'),
    } as const;
    return {
      handler: 'cookie_session',
      warnings: sessionCheckWarnings(check),
      session: check,
      requiredScopes: [],
      tokenSources: [{ cookie: only[0] ?? 'session' }],
      authenticate(attempt, services) {
        if (!isResponsible(attempt, only)) return none;
        if (holdsBearer(attempt)) return TWO_CREDENTIALS;
        const reply = services.call(sessionCall(check, attempt));
        return reply instanceof Promise
          ? reply.then((settled) => judgeSession(check, settled))
          : judgeSession(check, reply);
      },
    };
  },
};

function isResponsible({ fields }: RequestContext, only: readonly string[]): boolean {
  if (fields.cookie === undefined) return false;
  const names = fields.cookie
    .split(';')
    .map((pair) => pair.split('=', 1)[0]?.trim() ?? '')
    .filter((name) => name !== '');
  return only.length === 0 ? names.length > 0 : names.some((name) => only.includes(name));
}
