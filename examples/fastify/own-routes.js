// Routes of an application's own, of which the rules say who may use them:
//
//     PORT=3000 node examples/fastify/own-routes.js SETTINGS.yaml
import createApp from 'fastify';
import scopegate, { frameworkErrors } from 'scopegate/fastify';

const [settings = 'scopegate.yaml'] = process.argv.slice(2);
const app = createApp({ logger: true, requestTimeout: 120_000, frameworkErrors });

await app.register(scopegate, { settings });

// Open to everybody: the hook is in the context below alone.
app.get('/health', async () => ({ ready: app.scopegate.ready }));

app.register(async (api) => {
  api.addHook('onRequest', app.scopegate.authorize);

  api.get('/orders', async ({ scopegate: decision }) => ({
    orders: [],
    of: decision.subject,
    client: decision.clientId,
    scopes: decision.scopes,
  }));

  api.post('/orders', async ({ body, scopegate: decision }, reply) => {
    reply.code(201);
    return { ...body, by: decision.subject };
  });
});

await app.listen({ host: process.env.HOST ?? '127.0.0.1', port: Number(process.env.PORT ?? 3000) });
process.once('SIGTERM', () => app.close());
