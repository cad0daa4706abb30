import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start } from '../child.js';
import type { Contender } from '../contender.js';

const require = (name: string): string => JSON.stringify(fileURLToPath(import.meta.resolve(name)));

/** @fastify/http-proxy as it comes, with no authorization at all. */
export const httpProxy: Contender = {
  name: 'http-proxy bare',
  introspects: false,
  missing: () => undefined,
  start({ folder, port, upstreamPort, profile }) {
    const file = join(folder, 'proxy.cjs');
    writeFileSync(
      file,
      `const app = require(${require('fastify')})();
app.register(require(${require('@fastify/http-proxy')}), { upstream: 'http://127.0.0.1:${upstreamPort}' });
app.listen({ host: '127.0.0.1', port: ${port} });
process.on('SIGTERM', () => process.exit(0));
`,
    );
    const flags = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile];
    return start(0, process.execPath, [...flags, file]);
  },
};
