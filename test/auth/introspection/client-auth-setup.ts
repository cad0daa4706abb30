import type { Test } from 'tap';
import { type FakeClock, fakeClock } from '../../clock.js';
import { startTestGateway } from '../../gateway.js';

export const SECRET = 'a-client-secret-that-is-long-enough-for-HS256';

/** A gateway before an endpoint of the test's own. */
export async function start(t: Test, introspection: object, clock: FakeClock = fakeClock()) {
  const settings = { introspection: { timeout: '5s', ...introspection } };
  const gate = await startTestGateway(t, { clock, settings });
  return { gate, clock };
}
