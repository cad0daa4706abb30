import type { Test } from 'tap';
import { fakeClock } from '../../clock.js';
import { apiRule, startTestGateway } from '../../gateway.js';

export const TOKENS = {
  alice: { scope: 'read', sub: 'alice', client_id: 'c', ext: { role: 'admin', tenant: 'ü' } },
  evil: { scope: 'read', sub: 'a\r\nX-Admin: yes', client_id: 'c' },
  wide: { scope: 'read', sub: '\u0141ukasz', client_id: 'c' },
  nul: { scope: 'read', sub: 'a\0b', client_id: 'c' },
};

export const header = (headers: object) => ({ handler: 'header', config: { headers } });
export const cookie = (cookies: object) => ({ handler: 'cookie', config: { cookies } });

export function start(t: Test, rules: readonly object[]) {
  return startTestGateway(t, { rules: apiRule('gate.example', rules), tokens: TOKENS, clock: fakeClock() });
}
