import { readNetwork } from '../../parse/peer.js';
import { each, list } from '../kinds.js';

/**
 * `trustedProxies`: the proxies whose statements about a request (such as the client's address) scopegate
 * trusts.
 */
export const trustedProxies = list(
  'Networks (CIDR) of the proxies in front of scopegate. scopegate trusts Forwarded, X-Forwarded-* and X-Request-Id only from these.',
  [],
).check(
  each((network, place) => {
    if (readNetwork(network) === undefined) place.problem('must be a network such as 10.0.0.0/8 or ::1/128');
  }),
);
