import { openHandler } from './open.js';

/** Kyma's `no_auth`, the later name of `allow`. */
export const noAuth = openHandler('no_auth');
