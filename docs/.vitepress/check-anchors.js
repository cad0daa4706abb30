// Checks the built site: every link to a heading leads to one. VitePress itself only checks that the page is there.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [site] = process.argv.slice(2);
const names = readdirSync(site).filter((name) => name.endsWith('.html'));
const texts = new Map(
  names.map((name) => [name.replace('.html', ''), readFileSync(join(site, name), 'utf8')]),
);
let count = 0;
for (const [name, text] of texts) {
  for (const [, page, anchor] of text.matchAll(/ href="(?:\/([\w-]*))?#([^"]+)"/g)) {
    const goal = page === undefined ? name : page || 'index';
    count++;
    if (texts.get(goal)?.includes(` id="${decodeURIComponent(anchor)}"`) === true) continue;
    console.error(`${name}: the link to ${goal}#${anchor} leads nowhere`);
    process.exitCode = 1;
  }
}
if (count < 100) throw new Error(`only ${count} links to headings: are these the pages?`);
console.log(`${count} links to headings lead to one`);
