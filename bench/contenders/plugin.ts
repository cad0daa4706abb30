import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { start } from '../child.js';
import type { Contender } from '../contender.js';
import { RULES } from './scopegate.js';

const module = (name: string): string => JSON.stringify(import.meta.resolve(name));

/** An application with scopegate's plugin, with the tutorial's rules, and its audit lines in the application's log. */
function application(name: string, introspects: boolean, body: string): Contender {
  return {
    name,
    introspects,
    plugin: true,
    missing: () => undefined,
    start({ folder, port, upstreamPort, introspectionUrl, profile }) {
      writeFileSync(join(folder, 'rules.yaml'), RULES);
      writeFileSync(
        join(folder, 'settings.yaml'),
        JSON.stringify({
          rules: ['./rules.yaml'],
          services: { httpbin: `http://127.0.0.1:${upstreamPort}` },
          introspection: { url: introspectionUrl },
        }),
      );
      const file = join(folder, 'app.mjs');
      writeFileSync(
        file,
        `import createApp from ${module('fastify')};
import pino from ${module('pino')};
import scopegate from ${JSON.stringify(new URL('../../src/fastify/plugin.js', import.meta.url).href)};
const app = createApp();
// Written in batches, as the gateway does it.
const destination = pino.destination({ dest: ${JSON.stringify(join(folder, 'log'))}, sync: false, minLength: 8192 });
const settings = ${JSON.stringify(join(folder, 'settings.yaml'))};
${body}
await app.listen({ host: '127.0.0.1', port: ${port} });
process.on('SIGTERM', () => process.exit(0));
`,
      );
      const flags = profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile];
      return start(0, process.execPath, [...flags, file]);
    },
  };
}

/** The plugin with `upstreams: true`: what the gateway does, in the life cycle of an application. */
export const pluginUpstreams = application(
  'plugin upstreams',
  true,
  'await app.register(scopegate, { settings, destination, upstreams: true });',
);

/** The plugin's hook on a route of the application's own. */
export const pluginRoute = application(
  'plugin own route',
  true,
  `await app.register(scopegate, { settings, destination });
app.get('/get', { onRequest: app.scopegate.authorize }, async () => ({ path: '/get' }));`,
);

/** The same route with nothing before it: what the application itself costs. */
export const bareRoute = application(
  'own route bare',
  false,
  `app.get('/get', async () => ({ path: '/get' }));`,
);
