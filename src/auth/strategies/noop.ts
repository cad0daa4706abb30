import { openHandler } from './open.js';

/** Oathkeeper's `noop` authenticator: the request is forwarded as it is, its Authorization included. */
export const noop = openHandler('noop');
