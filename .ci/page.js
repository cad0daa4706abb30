/**
 * Makes the admin page: one script of the modules in src/admin/page, and its style, both without comments and blanks.
 * src/admin/page.ts puts them into the page's HTML.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** The top of the repository. */
const root = join(import.meta.dirname, '..');

/**
 * @param {string} target the folder that gets page.html, style.css and page.js
 */
export async function buildPage(target) {
  const source = join(root, 'src/admin/page');
  await build({
    entryPoints: { page: join(source, 'main.ts'), style: join(source, 'page.css') },
    outdir: target,
    bundle: true,
    minify: true,
    format: 'esm',
    charset: 'utf8',
    target: ['es2023', 'chrome123', 'firefox120', 'safari17.5'],
    logLevel: 'warning',
  });
  cpSync(join(source, 'page.html'), join(target, 'page.html'));
}
