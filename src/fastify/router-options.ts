import type { FastifyInstance } from 'fastify';

/** Options of the router, which may stand in `routerOptions` or beside it. */
const WIDENING = {
  caseSensitive: { safe: true, makes: '/ADMIN reaches the route of /admin, and rules tell the two apart' },
  useSemicolonDelimiter: { safe: false, makes: 'it takes what follows a semicolon for a query' },
} as const;

/**
 * Refuses options with which the router leads a request to a route that the rules take for another path.
 *
 * @throws Error for such an option
 */
export function checkRouter(app: FastifyInstance): void {
  for (const [name, { safe, makes }] of Object.entries(WIDENING)) {
    if (optionOf(app, name, safe) !== safe) {
      throw new Error(
        `scopegate: ${name} must be ${safe} in the application's routerOptions: with ${!safe}, ${makes}`,
      );
    }
  }
}

/** Whether the router takes `/a` and `/a/` for the same path. */
export function ignoresTrailingSlash(app: FastifyInstance): boolean {
  return optionOf(app, 'ignoreTrailingSlash', false);
}

/** @returns the value that is not the safe one, wherever it stands */
function optionOf(app: FastifyInstance, name: string, safe: boolean): boolean {
  const all = app.initialConfig as Record<string, unknown> & { routerOptions?: Record<string, unknown> };
  return [all.routerOptions?.[name], all[name]].some((value) => value === !safe) ? !safe : safe;
}
