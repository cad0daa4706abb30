import type { FastifyInstance, FastifyRequest } from 'fastify';

// The hook on routes of an application's own.

export const guarded = (app: FastifyInstance): void => {
  app.addHook('onRequest', app.scopegate.authorize);
};

/** A route that says what it sees of the decision. */
export const show = async ({ scopegate }: FastifyRequest): Promise<object> => ({
  allowed: scopegate?.allowed,
  rule: scopegate?.rule,
  subject: scopegate?.subject,
  clientId: scopegate?.clientId,
  scopes: scopegate?.scopes,
});
