import { allow } from './allow.js';
import { anonymous } from './anonymous.js';
import { noAuth } from './no-auth.js';
import { noop } from './noop.js';
import { oauth2Introspection } from './oauth2-introspection.js';
import type { Handler } from './strategy.js';
import { unauthorized } from './unauthorized.js';

/** Every access strategy a rule can name. A new one is a file in this folder and a line here. */
export const handlers: ReadonlyMap<string, Handler> = new Map(
  [allow, noAuth, noop, anonymous, unauthorized, oauth2Introspection].map((handler) => [
    handler.name,
    handler,
  ]),
);

/** Handlers that Kyma and Oathkeeper know and this version does not serve: refused by name, never ignored. */
export const unservedHandlers: ReadonlySet<string> = new Set([
  'jwt',
  'oauth2_client_credentials',
  'cookie_session',
  'bearer_token',
]);
