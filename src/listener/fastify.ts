import type { FastifyServerOptions } from 'fastify';

/** Options that stop Fastify from loading its two schema compilers, because no route has a schema. */
export const NO_SCHEMA_COMPILERS: Pick<FastifyServerOptions, 'schemaController'> = {
  schemaController: { compilersFactory: { buildValidator: refuse, buildSerializer: refuse } },
};

function refuse(): never {
  throw new TypeError('routes have no schemas');
}
