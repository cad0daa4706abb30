import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitepress';

const root = fileURLToPath(new URL('../..', import.meta.url));
const repository = 'https://github.com/example/scopegate';

/**
 * Lets links to files of the repository outside of docs/ lead to the code host, where the site has no page for them.
 * @throws if there is no such file: a dead link ends the build
 */
function linkToRepository(markdown) {
  markdown.core.ruler.push('links-to-repository', ({ tokens, env }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.type === 'link_open' ? (token.attrGet('href') ?? '') : '';
      if (!href.startsWith('../')) continue;
      const [path, fragment] = normalize(join('docs', decodeURI(href))).split('#');
      if (!existsSync(join(root, path))) throw new Error(`${env.relativePath}: ${href} leads nowhere`);
      token.attrSet('href', `${repository}/blob/main/${path}${fragment === undefined ? '' : `#${fragment}`}`);
    }
  });
}

/** The sidebar, from docs/README.md: a group for each of its sections, an entry for each page or section of a page that it links. */
function sidebar() {
  const [, ...sections] = readFileSync(join(root, 'docs/README.md'), 'utf8').split('\n## ');
  return sections.map((section) => ({
    text: section.slice(0, section.indexOf('\n')),
    items: [...section.matchAll(/\[([^\]]+)\]\(([\w-]+)\.md(#[\w-]+)?\)/g)].map(
      ([, text, page, anchor = '']) => ({
        text: text[0].toUpperCase() + text.slice(1),
        link: `/${page}${anchor}`,
      }),
    ),
  }));
}

/** The anchor that GitHub gives a heading, so that a link to it works there and on the site (test/docs/page.ts has the same). */
function anchorOf(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

/** Keeps braces what they are: VitePress makes a Vue template of each page, and Vue evaluates what stands in two of them. */
function keepBraces(markdown) {
  for (const name of ['text', 'code_inline']) {
    const render = markdown.renderer.rules[name];
    markdown.renderer.rules[name] = (...args) => render(...args).replaceAll('{', '&#123;');
  }
}

/** Leaves diagrams to Mermaid in the reader's browser (theme/index.js). */
function leaveDiagrams(markdown) {
  const fence = markdown.renderer.rules.fence;
  markdown.renderer.rules.fence = (tokens, index, ...rest) => {
    const { info, content } = tokens[index];
    if (info.trim() !== 'mermaid') return fence(tokens, index, ...rest);
    return `<pre class="mermaid" v-pre>${markdown.utils.escapeHtml(content)}</pre>\n`;
  };
}

export default defineConfig({
  title: 'scopegate',
  description: 'OAuth2 introspection reverse proxy: Kyma APIRules, Ory Hydra tokens, one process',
  base: process.env.SITE_BASE ?? '/',
  outDir: '../build/site',
  cacheDir: '../build/site-cache',
  rewrites: { 'README.md': 'index.md' },
  cleanUrls: true,
  markdown: {
    languageAlias: { caddyfile: 'nginx', haproxy: 'nginx' },
    anchor: { slugify: anchorOf },
    config(markdown) {
      linkToRepository(markdown);
      keepBraces(markdown);
      leaveDiagrams(markdown);
    },
  },
  buildEnd({ outDir }) {
    const mermaid = fileURLToPath(import.meta.resolve('mermaid/dist/mermaid.min.js'));
    copyFileSync(mermaid, join(outDir, 'mermaid.min.js'));
    // Pages link this file as a download.
    copyFileSync(join(root, 'docs/admin-api.openapi.yaml'), join(outDir, 'admin-api.openapi.yaml'));
  },
  themeConfig: {
    search: { provider: 'local' },
    sidebar: sidebar(),
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: repository }],
  },
});
