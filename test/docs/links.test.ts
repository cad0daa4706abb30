import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';
import { root } from '../root.js';
import { pages } from './page.js';

const all = pages();

for (const page of all) {
  t.test(`every link of ${page.path} leads somewhere`, (t) => {
    for (const { target, line } of page.links) {
      const where = `${page.path}:${line}: ${target}`;
      if (/^https:\/\//.test(target)) {
        t.ok(URL.canParse(target), where);
        continue;
      }
      t.notMatch(target, /^[a-z]+:/, `${where}: only https`);
      const [file = '', fragment] = target.split('#');
      const path = file === '' ? page.path : normalize(join(dirname(page.path), file));
      t.ok(existsSync(join(root, path)), where);
      const goal = all.find((other) => other.path === path);
      if (fragment !== undefined) t.ok(goal?.anchors.has(fragment), `${where}: the heading is there`);
    }
    t.end();
  });
}

t.test('every page of docs/ is linked from the README', (t) => {
  const linked = new Set(
    all.find(({ path }) => path === 'README.md')?.links.map(({ target }) => target.split('#')[0]),
  );
  for (const { path } of all) if (path.startsWith('docs/')) t.ok(linked.has(path), path);
  t.end();
});
