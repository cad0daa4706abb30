import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../root.js';

/** A word that the project does not use, and what it says instead. */
interface Word {
  readonly pattern: RegExp;
  readonly better: string;
}

/** A passage of prose, and where it stands. */
export interface Passage {
  readonly line: number;
  readonly text: string;
}

/** The project's word list, which textlint reads too (`bash .ci/site`). */
export const WORDS: readonly Word[] = (
  JSON.parse(readFileSync(join(root, 'docs/.vitepress/words.json'), 'utf8')) as [string, string][]
).map(([pattern, better]) => ({ pattern: new RegExp(`(?<![\\w-])(?:${pattern})(?![\\w-])`, 'i'), better }));

/**
 * Finds words of the list.
 *
 * @returns one sentence for each word that is found
 */
export function badWords(text: string): string[] {
  return WORDS.flatMap(({ pattern, better }) => {
    const found = pattern.exec(text)?.[0];
    return found === undefined ? [] : [`"${found}": write ${better}`];
  });
}

/**
 * Splits a page into passages: paragraphs, items of lists, headings and cells of tables. Fenced blocks, code, comments and the targets of
 * links are left out.
 */
export function passages(markdown: string): Passage[] {
  const found: { line: number; text: string }[] = [];
  let fenced = false;
  let open = false;
  markdown.split('\n').forEach((content, index) => {
    const line = index + 1;
    if (/^\s*```/.test(content)) fenced = !fenced;
    if (fenced || /^\s*(?:```|<!--|$)/.test(content)) {
      open = false;
      return;
    }
    if (/^\s*\|/.test(content)) {
      for (const cell of content.split(/(?<!\\)\|/))
        if (/\w/.test(cell)) found.push({ line, text: plain(cell) });
      open = false;
      return;
    }
    const last = found.at(-1);
    const begins = /^(?:\s*(?:[-*]|\d+\.) |#+ )/.test(content);
    if (open && !begins && last !== undefined) last.text += ` ${content.trim()}`;
    else found.push({ line, text: content.replace(/^\s*(?:[-*] |\d+\. |#+ )/, '') });
    open = !content.startsWith('#');
  });
  return found.map(({ line, text }) => ({ line, text: plain(text) }));
}

/** Leaves out code, the targets of links and emphasis. What is left out keeps its place as one word. */
function plain(text: string): string {
  return text
    .replace(/`[^`]*`/g, 'CODE')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/\*\*/g, '');
}

/** Splits a passage into sentences. One that begins with the program's name begins in lower case. */
export function sentences(text: string): string[] {
  return text.split(/(?<=[.!?]["”)]?)\s+(?=["“(]?(?:[\p{Lu}\d]|scopegate\b))/u);
}

/** Counts the words of a sentence. */
export function wordCount(sentence: string): number {
  return sentence.split(/\s+/).filter((word) => /[\p{L}\d]/u.test(word)).length;
}
