import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { filesOf } from '../image/files.js';
import { root } from '../root.js';

// What `npm test` runs, and in which order.

/**
 * Suites, by name: each runs the test files of its folders, and those that it names, one after the other in one process.
 * The longest come first: one that began last would leave a processor idle at the end.
 */
export const SUITES = {
  fastify: ['fastify'],
  proxy: ['proxy', 'proxy/upstream', 'proxy/websocket'],
  introspection: ['auth/introspection'],
  files: ['commands/clients', 'commands/convert', 'config', 'docs', 'image', 'bench'],
  stores: [
    'auth/introspection/hostile-store',
    'auth/introspection/shared-cache',
    'auth/introspection/spellings',
    'auth/introspection/store-trouble',
  ],
  listener: ['listener'],
  handlers: ['auth/strategies', 'auth/mutators', 'auth/authorizers', 'auth/error-handlers', 'outbound'],
  rules: ['rules', 'rules/apirule', 'rules/pattern', 'rules/table', 'parse'],
  rfcs: ['conformance'],
  admin: ['admin', 'forward-auth', 'tls'],
  observe: ['observe', 'auth', 'auth/possession', 'model', 'mutants', 'browser'],
  stack: ['stack'],
  commands: ['commands'],
  fuzz: ['fuzz'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** The name of a suite. */
export type Suite = keyof typeof SUITES;

/**
 * Files that have a process of their own, the longest first: their tests wait most of their time and therefore run
 * several at once, or they ask something of their process that other tests would disturb.
 */
const ALONE = [
  'app/loading',
  'proxy/long-lived',
  'proxy/websocket/websockets',
  'proxy/shares',
  'summary',
  'proxy/bodies',
  'proxy/hostile',
  'proxy/upstream/reuse',
  'proxy/interim-answers',
  'proxy/faults',
  'proxy/upstream/answers',
  'proxy/refused-answers',
  'proxy/client-shares',
  'proxy/interim',
  'observe/tracing',
];

/** The top of the compiled tests. */
const top = join(root, 'build/test');

/** Every test file below a folder of the compiled tests, without its ending: `rules/table/laws`. */
function namesOf(ending: string): string[] {
  return filesOf(top)
    .filter((path) => path.endsWith(ending))
    .map((path) => relative(top, path).slice(0, -ending.length))
    .sort();
}

/** Test files by name, each with the folder that it stands in; none of them is a suite itself. */
const quick: readonly (readonly [name: string, folder: string])[] = namesOf('.test.js')
  .filter((name) => !name.startsWith('suites/'))
  .map((name) => [name, name.slice(0, Math.max(0, name.lastIndexOf('/')))]);

/** Everything that some suite, or the list of files by themselves, says by name. */
const named: ReadonlySet<string> = new Set([...Object.values(SUITES).flat(), ...ALONE]);

/** The test files that a suite runs, in order, as names below `test/` without their ending. */
export function membersOf(suite: Suite): string[] {
  return SUITES[suite].flatMap((entry) => {
    const own = quick.filter(([name, folder]) => folder === entry && !named.has(name)).map(([name]) => name);
    return existsSync(join(top, `${entry}.test.js`)) ? [entry, ...own] : own;
  });
}

/** The files that `npm test` starts, in order: suites, and every quick test file that none of them runs. */
export function quickFiles(): string[] {
  const suites = Object.keys(SUITES) as Suite[];
  const within = new Set(suites.flatMap(membersOf));
  const others = quick.map(([name]) => name).filter((name) => !within.has(name) && !ALONE.includes(name));
  return [...suites.map((suite) => `suites/${suite}`), ...ALONE, ...others].map((name) =>
    join(top, `${name}.test.js`),
  );
}

/** The files that `npm run test:slow` starts. */
export function slowFiles(): string[] {
  return namesOf('.slow.js').map((name) => join(top, `${name}.slow.js`));
}
