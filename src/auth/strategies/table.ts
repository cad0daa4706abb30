import { allow, noAuth, noop } from './allow-all.js';
import { anonymous } from './anonymous.js';
import { bearerToken } from './bearer-token.js';
import { cookieSession } from './cookie-session.js';
import { jwt } from './jwt.js';
import { oauth2ClientCredentials } from './oauth2-client-credentials.js';
import { oauth2Introspection } from './oauth2-introspection.js';
import type { Handler } from './strategy.js';
import { unauthorized } from './unauthorized.js';

/**
 * Every access strategy that a rule can name. To add one, add a file in this folder and a line here. One that looks at no
 * credential is also named in `rules/apirule/access-strategies.ts`, so that a rule cannot combine it with one that does.
 */
export const handlers: ReadonlyMap<string, Handler> = new Map(
  [
    allow,
    noAuth,
    noop,
    anonymous,
    unauthorized,
    oauth2Introspection,
    jwt,
    oauth2ClientCredentials,
    cookieSession,
    bearerToken,
  ].map((handler) => [handler.name, handler]),
);
