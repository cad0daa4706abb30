import type { Test } from 'tap';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import type { TestGateway } from '../../gateway.js';
import { makeClientKey } from '../../proof.js';
import { startFleet } from './fleet.js';
import { startRedis } from './redis.js';

export const key = await makeClientKey();

/** Several gateways before one authorization server, with one store. */
export async function start(t: Test) {
  const clock = fakeClock();
  const redis = await startRedis(t);
  const exp = clock.wall() + 20;
  const fleet = await startFleet(
    t,
    { url: redis.url },
    {
      'secret-token': { scope: 'read', sub: 'alice' },
      short: { scope: 'read', exp, sub: 'carol' },
      write: { scope: 'write' },
      bound: { scope: 'read', token_type: 'DPoP', cnf: { jkt: key.jkt } },
    },
    clock,
  );
  return { ...fleet, redis, clock };
}

/** The names of answers. */
export const answers = (held: Map<string, string>): string[] =>
  [...held.keys()].filter((name) => name.startsWith('scopegate:answer:'));

/** Asks with a DPoP proof. */
export const show = async (gate: TestGateway, proof: string) =>
  ask(gate, '/x', { headers: { authorization: 'DPoP bound', dpop: proof } });
