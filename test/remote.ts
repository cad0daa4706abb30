import type { Outbound } from '../src/model/outbound.js';

/** What handlers call over the network, in tests where nobody may be called. */
export const noRemote: Outbound = {
  call: () => {
    throw new Error('nobody was to be called');
  },
  verify: () => {
    throw new Error('no token was to be verified');
  },
};
