import type { FastifyInstance } from 'fastify';

/** Options of the router. They may be in `routerOptions` or next to it. */
const WIDENING = {
  caseSensitive: { safe: true, makes: '/ADMIN reaches the route of /admin, and rules tell the two apart' },
  useSemicolonDelimiter: { safe: false, makes: 'it reads what follows a semicolon as a query' },
} as const;

/**
 * Refuses router options with which a request can reach a route under a path that the rules treat as another
 * path.
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

/** Whether the router treats `/a` and `/a/` as the same path. */
export function ignoresTrailingSlash(app: FastifyInstance): boolean {
  return optionOf(app, 'ignoreTrailingSlash', false);
}

/** @returns the unsafe value if the option has it in either place, otherwise the safe one */
function optionOf(app: FastifyInstance, name: string, safe: boolean): boolean {
  const all = app.initialConfig as Record<string, unknown> & { routerOptions?: Record<string, unknown> };
  return [all.routerOptions?.[name], all[name]].some((value) => value === !safe) ? !safe : safe;
}
