import fastify, { type FastifyInstance } from 'fastify';
import { version } from '../version.js';

/** What the admin port tells. */
export interface AdminOptions {
  /** Whether requests are served: a valid rule set is in force and no shutdown has begun. */
  readonly ready: () => Readiness;
}

/** The answer of `/health/ready`. */
export interface Readiness {
  readonly ready: boolean;
  /** `ok`, or what is missing. */
  readonly status: string;
  /** The rule set in force, and how the last attempt to replace it went. */
  readonly rules: { readonly version: number; readonly lastReload?: LastReload };
}

/** An attempt to load the rules again. */
export interface LastReload {
  readonly ok: boolean;
  /** ISO 8601. */
  readonly at: string;
  /** Errors that kept the old set in force. */
  readonly errors: number;
}

/**
 * Builds the admin listener. It is a server of its own: nothing of it can be reached on the proxy port.
 */
export function createAdmin(options: AdminOptions): FastifyInstance {
  const app = fastify({ logger: false, forceCloseConnections: true, return503OnClosing: false });
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
  });
  app.get('/health/alive', async () => ({ status: 'ok' }));
  app.get('/health/ready', async (_request, reply) => {
    const readiness = options.ready();
    reply.code(readiness.ready ? 200 : 503);
    return { status: readiness.status, rules: readiness.rules };
  });
  app.get('/version', async () => ({ version }));
  app.setNotFoundHandler((_request, reply) => {
    reply
      .code(404)
      .send({ error: { code: 404, status: 'Not Found', message: 'The admin port has no such page' } });
  });
  return app;
}
