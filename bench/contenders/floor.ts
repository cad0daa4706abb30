import { fileURLToPath } from 'node:url';
import { start } from '../child.js';
import type { Contender } from '../contender.js';

/** `node:http` and `undici.dispatch`, with no check at all: what a proxy on Node costs before it does anything. */
export const floor: Contender = {
  name: 'node:http bare',
  introspects: false,
  secure: true,
  missing: () => undefined,
  start({ port, upstreamPort, profile, tls }) {
    const program = fileURLToPath(new URL('./floor-proxy.js', import.meta.url));
    const flags = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile];
    const secure = tls === undefined ? [] : [tls.cert, tls.key];
    return start(0, process.execPath, [...flags, program, String(port), String(upstreamPort), ...secure]);
  },
};
