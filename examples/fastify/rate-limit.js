// Two rate limits: one by address before any token is looked at, one by subject behind the decision.
//
//     PORT=3000 node examples/fastify/rate-limit.js SETTINGS.yaml
import rateLimit from '@fastify/rate-limit';
import createApp from 'fastify';
import scopegate, { frameworkErrors } from 'scopegate/fastify';

const [settings = 'scopegate.yaml'] = process.argv.slice(2);
const app = createApp({ logger: true, requestTimeout: 120_000, frameworkErrors });

// By address: its hook is onRequest, and comes before scopegate. So a flood of tokens makes no introspection.
await app.register(rateLimit, { max: Number(process.env.PER_ADDRESS ?? 100), timeWindow: '1 minute' });

await app.register(scopegate, { settings, upstreams: true });

// By subject: behind the decision, which a preHandler hook finds on the request.
const perSubject = app.createRateLimit({
  max: Number(process.env.PER_SUBJECT ?? 10),
  timeWindow: '1 minute',
  keyGenerator: ({ scopegate: decision }) => `subject ${decision.subject}`,
});
app.addHook('preHandler', async (request, reply) => {
  if (!request.scopegate?.subject) return undefined;
  const { isExceeded, ttlInSeconds } = await perSubject(request);
  if (!isExceeded) return undefined;
  reply.code(429).header('retry-after', ttlInSeconds).send({ error: 'too many requests of this subject' });
  return reply;
});

await app.listen({ host: process.env.HOST ?? '127.0.0.1', port: Number(process.env.PORT ?? 3000) });
process.once('SIGTERM', () => app.close());
