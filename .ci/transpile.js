/**
 * Turns the sources, the tests and the bench into JavaScript under build/, where the tests and `npm start` run them from.
 * It strips types and does not check them, which takes a second; `npm run check` checks them.
 *
 *     node .ci/transpile.js
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { buildPage } from './page.js';

/** The top of the repository. */
const root = join(import.meta.dirname, '..');
const folders = ['src', 'test', 'bench'];

// A test whose source moved must not be left behind and run.
for (const folder of folders) rmSync(join(root, 'build', folder), { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: folders.map((folder) => `${folder}/**/*.ts`),
  outbase: '.',
  outdir: 'build',
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcemap: true,
  logLevel: 'warning',
});
await buildPage(join(root, 'build/src/admin/page'));
