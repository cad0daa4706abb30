import type { FastifyServerOptions } from 'fastify';

/** No route has a schema: without this, Fastify would load two compilers for what routes say of their bodies. */
export const NO_SCHEMA_COMPILERS: Pick<FastifyServerOptions, 'schemaController'> = {
  schemaController: { compilersFactory: { buildValidator: refuse, buildSerializer: refuse } },
};

function refuse(): never {
  throw new TypeError('routes have no schemas');
}
