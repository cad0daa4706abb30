/**
 * Makes what is published out of what the compiler made: the program in a few files, so that Node need not look for a
 * thousand, with the validators of its own schemas compiled already.
 *
 *     node .ci/bundle.js COMPILED TARGET
 *
 * Packages that serving needs are inside; those that are loaded only when something asks for them are not, and are
 * found in node_modules, as in a checkout.
 */
import { cpSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';
import { build } from 'esbuild';

/** The top of the repository. */
const root = join(import.meta.dirname, '..');

const [compiled, target] = process.argv.slice(2).map((path) => resolve(path));
if (compiled === undefined || target === undefined)
  throw new Error('usage: node .ci/bundle.js COMPILED TARGET');
const load = (file) => import(pathToFileURL(join(compiled, file)).href);

/** What nothing asks for while the tutorial is served, or at all. */
const OUTSIDE = [
  '@redis/client',
  '@opentelemetry/*',
  // Fastify's compilers for schemas of routes, and its injection for tests.
  '@fastify/ajv-compiler',
  '@fastify/fast-json-stringify-compiler',
  'light-my-request',
];

/** Every schema that documents are held against. One that is missing here is compiled when it is used. */
async function schemas() {
  const [{ settingsSchema }, { v1beta1 }, { v2 }, { handlers }, { mutators }] = await Promise.all(
    [
      'config/schema',
      'rules/apirule/v1beta1',
      'rules/apirule/v2',
      'auth/strategies/table',
      'auth/mutators/table',
    ].map((file) => load(`${file}.js`)),
  );
  const dialects = [v1beta1, v2].flatMap(({ documentSchema, specSchema, ruleSchema }) => [
    documentSchema,
    specSchema,
    ruleSchema,
  ]);
  const configs = [...handlers.values(), ...mutators.values()].map(({ schema }) => schema);
  return new Set([settingsSchema, ...dialects, ...configs]);
}

/** The text of the module that stands for `document/precompiled.js`. */
async function precompiled() {
  const { OPTIONS, digest } = await load('document/compile.js');
  const ajv = new Ajv({ ...OPTIONS, code: { source: true, esm: true } });
  const names = new Map();
  for (const schema of await schemas()) {
    const key = digest(schema);
    if (names.has(key)) continue;
    ajv.addSchema(schema, key);
    names.set(key, `check${names.size}`);
  }
  const code = standalone.default(ajv, Object.fromEntries([...names].map(([key, name]) => [name, key])));
  const entries = [...names].map(([key, name]) => `[${JSON.stringify(key)}, ${name}]`);
  return `${code}\nexport const precompiled = new Map([${entries.join(', ')}]);\n`;
}

const validators = {
  name: 'validators',
  setup({ onLoad }) {
    onLoad({ filter: /[/\\]document[/\\]precompiled\.js$/ }, async () => ({
      contents: await precompiled(),
      loader: 'js',
      resolveDir: root,
    }));
  },
};

/** For exemplars, which are not used, the metrics' library loads the whole of an interface that tracing has besides. */
const noExemplars = {
  name: 'no-exemplars',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@opentelemetry\/api$/ }, ({ importer }) =>
      importer.includes(join('node_modules', 'prom-client'))
        ? { path: 'no-exemplars', namespace: 'no-exemplars' }
        : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'no-exemplars' }, () => ({ contents: 'export {}', loader: 'js' }));
  },
};

rmSync(target, { recursive: true, force: true });
await build({
  entryPoints: [join(compiled, 'cli.js')],
  outdir: target,
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external: OUTSIDE,
  plugins: [validators, noExemplars],
  // undici asks for Node's own class, for cookies that nobody reads, and with it Node loads an undici of its own.
  define: { 'globalThis.Headers': 'undefined' },
  // Names stay. What goes is blanks and comments, whose few letters beyond ASCII would double all of a file in memory.
  minifyWhitespace: true,
  legalComments: 'external',
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
  // What is CommonJS inside asks for Node's own modules with it.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module';\nvar require = requireFrom(import.meta.url);",
  },
});
cpSync(join(root, 'src/admin/page'), join(target, 'page'), { recursive: true });
