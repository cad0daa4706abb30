import { openHandler } from './open.js';

/**
 * Kyma's `allow`: no authentication. Unlike in Kyma, the rule's methods still hold: Kyma's VirtualService exposed
 * every method of an `allow` path.
 */
export const allow = openHandler('allow');
