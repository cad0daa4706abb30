import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import typescript from 'typescript';
import { leaves } from '../../src/config/schema.js';
import { root } from '../root.js';
import { helpTexts } from './cli.js';
import { pages } from './page.js';
import { badWords, passages, sentences, wordCount } from './prose.js';

/** Most words of one sentence. */
const LONGEST = 35;
/** Pages that may have longer ones: they quote, count, or list the values of a field. */
const LONGER: ReadonlySet<string> = new Set([
  'CHANGELOG.md',
  ...['audit', 'conformance', 'mutants', 'performance', 'settings'].map((name) => `docs/${name}.md`),
]);

t.test(`no sentence of README and docs/ has more than ${LONGEST} words`, (t) => {
  for (const { path, text: page } of pages()) {
    if (LONGER.has(path)) continue;
    for (const { line, text } of passages(page)) {
      for (const sentence of sentences(text)) {
        const count = wordCount(sentence);
        if (count > LONGEST) t.fail(`${path}:${line}: ${count} words: ${sentence}`);
      }
    }
  }
  t.end();
});

t.test('a long sentence is found, wherever it stands, and a short one passes', (t) => {
  const long = `${'word '.repeat(LONGEST)}end.`;
  for (const page of [
    `# Head\n\n${long}`,
    `- ${long.replace('word', '`a b c`')}`,
    `1. Short.\n2. ${long}`,
    `| a | ${long} |`,
  ]) {
    const counts = passages(page).flatMap(({ text }) => sentences(text).map(wordCount));
    t.equal(Math.max(...counts), LONGEST + 1, page);
  }
  t.equal(sentences('One ends. Two (RFC 6750 §3.1) ends, too. scopegate is the third.').length, 3);
  t.end();
});

t.test('the pages have no word of the list', (t) => {
  const found = pages().flatMap(({ path, text: page }) =>
    passages(page).flatMap(({ line, text }) => badWords(text).map((word) => `${path}:${line}: ${word}`)),
  );
  t.same(found, []);
  t.not(badWords('We utilise it.').length, 0, 'a word of the list is found');
  t.end();
});

t.test('help texts, descriptions of settings and messages have no word of the list', async (t) => {
  const texts = [
    ...[...(await helpTexts())].map(([name, text]) => ({ place: `${name} --help`, text })),
    ...leaves().map(({ path, schema }) => ({ place: path.join('.'), text: schema.description })),
    ...literals(),
  ];
  t.ok(texts.length > 1_000, 'they are found');
  t.same(
    texts.flatMap(({ place, text }) => badWords(text).map((word) => `${place}: ${word}`)),
    [],
  );
});

/** What the program may say: literals of more than one word. */
function literals(): { place: string; text: string }[] {
  const found: { place: string; text: string }[] = [];
  for (const name of readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const text = readFileSync(join(root, 'src', name), 'utf8');
    const file = typescript.createSourceFile(name, text, typescript.ScriptTarget.ES2022);
    const visit = (node: typescript.Node): void => {
      if (
        typescript.isStringLiteralLike(node) ||
        typescript.isTemplateHead(node) ||
        typescript.isTemplateMiddleOrTemplateTail(node)
      ) {
        if (/\w \w/.test(node.text)) {
          const { line } = file.getLineAndCharacterOfPosition(node.pos);
          found.push({ place: `src/${name}:${line + 1}`, text: node.text });
        }
      }
      typescript.forEachChild(node, visit);
    };
    visit(file);
  }
  return found;
}
