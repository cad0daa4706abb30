import { type ClientShareKind, type ClientShareLimits, ClientShares } from '../observe/client-shares.js';

/** The shares of clients; undefined if there is no limit, so that nothing is counted. */
export function clientShares(
  limits: ClientShareLimits,
  onRefused: (kind: ClientShareKind) => void,
): ClientShares | undefined {
  const isOff = Object.values(limits).every((limit) => limit === 0);
  return isOff ? undefined : new ClientShares({ ...limits, onRefused });
}
