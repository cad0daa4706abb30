import type { Rule } from '../src/model/rule.js';
import { compilePattern } from '../src/rules/pattern/pattern.js';

/** What the rules of one host look like, by their number and their number within the host; no two may overlap. */
export const SHAPES: Readonly<
  Record<string, (i: number, kind: number) => { path: string; example: string }>
> = {
  /** What APIRules hold: literal paths, collections and their members, under names of their own. */
  mixed: (i, kind) => {
    const name = `resource-${i}`;
    switch (kind % 5) {
      case 0:
        return { path: `/api/${name}`, example: `/api/${name}` };
      case 1:
        return { path: `/api/${name}/[^/]+`, example: `/api/${name}/x81` };
      case 2:
        return { path: `/${name}(/.*)?`, example: `/${name}/a/b` };
      case 3:
        return { path: `/api/v[12]/${name}/\\d+/items`, example: `/api/v2/${name}/4711/items` };
      default:
        return {
          path: `/${name}/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
          example: `/${name}/0a1b2c3d-0000-4000-8000-0123456789ab`,
        };
    }
  },
  /** One literal beginning for all: no index by prefix can tell them apart. */
  tenants: (i) => ({ path: `/[a-z]+/resource-${i}/.*`, example: `/acme/resource-${i}/a/b` }),
  /** Nor here, and they end alike too. */
  pages: (i) => ({ path: `/[^/]+/[^/]+/page-${i}/edit`, example: `/acme/wiki/page-${i}/edit` }),
};

/** Rules spread over hosts, compiled; every pattern in it is distinct, as if nobody copied from anybody. */
export function ruleset(shape: string, count: number, hosts: number): { rules: Rule[]; requests: Request[] } {
  const make = SHAPES[shape];
  if (make === undefined) throw new Error(`no such shape: ${shape}`);
  const rules: Rule[] = [];
  const requests: Request[] = [];
  for (let n = 0; n < count; n++) {
    const host = `h${n % hosts}.example.com`;
    const { path, example } = make(n, Math.floor(n / hosts));
    const compiled = compilePattern(path, { undecided: 'refuse' });
    if (!compiled.ok) throw new Error(compiled.message);
    rules.push({
      id: `bench/rules#${n}`,
      source: `rules.yaml:${n + 1}:1`,
      hosts: [host],
      methods: ['GET'],
      path,
      pattern: compiled.pattern,
      strategies: [],
      upstream: {} as Rule['upstream'],
      timeout: 180_000,
      allows: { encodedSlash: false, encodedPercent: false, semicolon: false, emptySegments: false },
    });
    requests.push({ host, path: example });
  }
  return { rules, requests };
}

/** A request that the rule of the same number answers. */
export interface Request {
  readonly host: string;
  readonly path: string;
}
