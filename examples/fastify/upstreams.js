// The services of the rules behind an application, which adds to them what it likes:
//
//     PORT=3000 node examples/fastify/upstreams.js SETTINGS.yaml
import createApp from 'fastify';
import scopegate, { frameworkErrors } from 'scopegate/fastify';

const [settings = 'scopegate.yaml'] = process.argv.slice(2);
const app = createApp({ logger: true, requestTimeout: 120_000, frameworkErrors });

// Declared before or after the plugin, a route of the application comes before the upstreams.
app.get('/health', async () => ({ ready: app.scopegate.ready }));

// Hooks see requests to upstreams and their responses like any others.
app.addHook('onSend', async (_request, reply, payload) => {
  reply.header('x-served-by', 'example');
  return payload;
});

await app.register(scopegate, { settings, upstreams: true });

// Metrics and the like belong on a port that clients do not reach.
const internal = createApp();
internal.get('/metrics', async (_request, reply) => {
  reply.type(app.scopegate.metricsType);
  return app.scopegate.metrics();
});
app.addHook('onClose', () => internal.close());

await internal.listen({ host: '127.0.0.1', port: Number(process.env.METRICS_PORT ?? 3001) });
await app.listen({ host: process.env.HOST ?? '127.0.0.1', port: Number(process.env.PORT ?? 3000) });
console.log(JSON.stringify({ metrics: internal.server.address().port }));
process.once('SIGTERM', () => app.close());
