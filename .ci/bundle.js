/**
 * Makes what is published out of what the compiler made: the program with every package that it needs inside, in a few
 * files, so that Node need not look for a thousand, and with the validators of its own schemas compiled already.
 *
 *     node .ci/bundle.js COMPILED TARGET
 *
 * Beside the program it writes what is inside it: sbom.cdx.json and third-party-licenses.txt.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { build } from 'esbuild';
import typescript from 'typescript';
import { buildPage } from './page.js';
import { writeParts } from './parts.js';
import { precompiled } from './schemas.js';

/** The top of the repository. */
const root = join(import.meta.dirname, '..');

const [compiled, target] = process.argv.slice(2).map((path) => resolve(path));
if (compiled === undefined || target === undefined)
  throw new Error('usage: node .ci/bundle.js COMPILED TARGET');

/**
 * The packages that `lazyRequire` loads, each in a file of its own that is read when something first asks for it. They
 * are CommonJS, because `require` takes them.
 */
const LAZY = {
  ajv: 'ajv.cjs',
  refa: 'refa.cjs',
  'recheck/lib/browser.js': 'recheck.cjs',
  '@redis/client': 'redis.cjs',
};

/**
 * What is not inside: what Fastify would load for schemas of routes, which no route has, and for injection in tests; and
 * the native code that `ws` and the Redis client take in place of their own where somebody has installed it.
 */
const UNUSED =
  /^(@fastify\/ajv-compiler|@fastify\/fast-json-stringify-compiler|light-my-request|bufferutil|utf-8-validate|@node-rs\/xxhash)$/;

/** Puts what was made here in the place of the two modules that stand for it in a checkout. */
const generated = {
  name: 'generated',
  setup({ onLoad }) {
    const put = (filter, text) =>
      onLoad({ filter }, async () => ({ contents: await text(), loader: 'js', resolveDir: root }));
    put(/[/\\]document[/\\]precompiled\.js$/, () => precompiled(compiled));
    put(
      /[/\\]model[/\\]bundled-packages\.js$/,
      () =>
        `export const bundledPackages = new Map(${JSON.stringify(
          Object.entries(LAZY).map(([name, file]) => [name, `./${file}`]),
        )});\n`,
    );
  },
};

const unused = {
  name: 'unused',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: UNUSED }, ({ path }) => ({ path, namespace: 'unused' }));
    onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({
      contents: `throw new Error('${path} is not part of scopegate');`,
      loader: 'js',
    }));
  },
};

/** @fastify/http-proxy asks for it at once, and uses it for WebSockets alone, which the plugin does not serve. */
const noWebSockets = {
  name: 'no-websockets',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^ws$/ }, ({ path }) => ({ path, namespace: 'no-websockets' }));
    onLoad({ filter: /.*/, namespace: 'no-websockets' }, () => ({
      contents: 'module.exports = {};',
      loader: 'js',
    }));
  },
};

/** The sources of all that an entry loads at once. */
function sourcesOf({ outputs }, entry) {
  const files = new Set([Object.keys(outputs).find((name) => basename(name) === entry)]);
  // A set goes on to what is added to it on the way.
  for (const file of files) {
    for (const { path, kind } of outputs[file].imports)
      if (kind === 'import-statement' && path in outputs) files.add(path);
  }
  return [...files].flatMap((file) => Object.keys(outputs[file].inputs));
}

/** What an application sees of the plugin: these files say it by themselves, and import nothing but Fastify. */
const DECLARATIONS = { 'plugin.ts': 'fastify.d.ts', 'plugin-types.ts': 'plugin-types.d.ts' };

/** How both halves are made. */
const common = {
  outdir: target,
  bundle: true,
  platform: 'node',
  target: 'node20',
  // Names stay. What goes is blanks and comments, whose few letters beyond ASCII would double all of a file in memory.
  minifyWhitespace: true,
  // third-party-licenses.txt has them all.
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
};

rmSync(target, { recursive: true, force: true });
const program = await build({
  ...common,
  // The thread that loads rules is a program of its own, beside whatever file starts it.
  entryPoints: [
    { in: join(compiled, 'cli.js'), out: 'cli' },
    { in: join(compiled, 'rules/worker.js'), out: 'worker' },
    { in: join(compiled, 'fastify/plugin.js'), out: 'fastify' },
  ],
  splitting: true,
  format: 'esm',
  // OpenTelemetry as modules: of its 27 MB a tenth of one is used, which shows in those alone.
  mainFields: ['module', 'main'],
  plugins: [generated, unused, noWebSockets],
  // What is CommonJS inside asks for Node's own modules with it.
  banner: {
    js: "import { createRequire as requireFrom } from 'node:module';\nvar require = requireFrom(import.meta.url);",
  },
});
const lazy = (names, options) =>
  build({
    ...common,
    plugins: [unused],
    entryPoints: names.map((name) => ({ in: name, out: LAZY[name].replace(/\.cjs$/, '') })),
    outExtension: { '.js': '.cjs' },
    format: 'cjs',
    ...options,
  });
// Nobody reads these two here, except for the names of their errors. The others come minified.
const minified = ['ajv', '@redis/client'];
const libraries = [
  await lazy(minified, { minify: true, keepNames: true }),
  await lazy(Object.keys(LAZY).filter((name) => !minified.includes(name))),
];
// Nothing comes along with the program, so nothing may be left to be found elsewhere.
const outside = [program, ...libraries]
  .flatMap(({ metafile }) => Object.values(metafile.outputs))
  .flatMap(({ imports }) =>
    imports.filter(
      ({ external, path }) => external === true && !path.startsWith('node:') && !isBuiltin(path),
    ),
  );
if (outside.length > 0) throw new Error(`not inside the bundle: ${outside.map(({ path }) => path)}`);
// An application brings its own Fastify, and hands it to the plugin.
if (sourcesOf(program.metafile, 'fastify.js').some((name) => name.includes('node_modules/fastify/')))
  throw new Error('the plugin has a Fastify of its own');
for (const [source, name] of Object.entries(DECLARATIONS)) {
  const { outputText, diagnostics } = typescript.transpileDeclaration(
    readFileSync(join(root, 'src/fastify', source), 'utf8'),
    { fileName: source, reportDiagnostics: true },
  );
  if (diagnostics.length > 0) throw new Error(`${source} says too little of its types`);
  writeFileSync(join(target, name), outputText);
}
await buildPage(join(target, 'page'));
writeParts(
  target,
  [program, ...libraries].map(({ metafile }) => metafile),
);
