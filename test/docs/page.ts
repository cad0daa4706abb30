import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../root.js';

/** A fenced block of a page. */
export interface Block {
  /** `sh`, `yaml`, … */
  readonly language: string;
  /** What follows the language: `tutorial 200`, `no-run needs a cluster`, `rules/orders.yaml`. */
  readonly info: string;
  readonly text: string;
  readonly line: number;
}

/** One page of the documentation. */
export interface Page {
  /** Relative to the checkout. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  /** Targets of its Markdown links, fenced blocks left out. */
  readonly links: readonly { readonly target: string; readonly line: number }[];
  /** The anchors its headings have. */
  readonly anchors: ReadonlySet<string>;
}

/** The README, the changelog and everything in docs/. */
export function pages(): Page[] {
  const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', 'CHANGELOG.md', ...docs.map((name) => `docs/${name}`)].map(readPage);
}

function readPage(path: string): Page {
  const text = readFileSync(join(root, path), 'utf8');
  const blocks: Block[] = [];
  const links: { target: string; line: number }[] = [];
  const anchors = new Set<string>();
  let open: { language: string; info: string; line: number; fence: string; lines: string[] } | undefined;
  text.split('\n').forEach((content, index) => {
    const line = index + 1;
    const fence = /^(```+)\s*(\S*)\s*(.*)$/.exec(content);
    if (open !== undefined) {
      if (fence !== null && fence[1] === open.fence && fence[2] === '') {
        blocks.push({ ...open, text: open.lines.join('\n') });
        open = undefined;
      } else open.lines.push(content);
      return;
    }
    if (fence !== null) {
      const [, marks = '', language = '', info = ''] = fence;
      open = { language, info: info.trim(), line, fence: marks, lines: [] };
      return;
    }
    const heading = /^#+ (.*)$/.exec(content);
    if (heading !== null) anchors.add(anchor(heading[1] ?? ''));
    for (const [, target = ''] of content.matchAll(/\]\(([^)\s]+)\)/g)) links.push({ target, line });
  });
  if (open !== undefined) throw new Error(`${path}:${open.line}: the block is not closed`);
  return { path, text, blocks, links, anchors };
}

/** The anchor that GitHub gives a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
    .replaceAll(' ', '-');
}
