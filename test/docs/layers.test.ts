import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import t from 'tap';
import { root } from '../root.js';

const MAX_LINES = 400;

const src = join(root, 'src');
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'));
const texts = new Map(files.map((file) => [file, readFileSync(join(src, file), 'utf8')]));
const IMPORT = /(?:^import |\bfrom |\bimport\()'(\.[^']+)\.js'/gm;
const imports = new Map(
  [...texts].map(([file, text]) => [
    file,
    [...text.matchAll(IMPORT)].map(([, path]) => `${posix.join(posix.dirname(file), path as string)}.ts`),
  ]),
);

/** The folders from top to bottom, as the page has them. */
const page = readFileSync(join(root, 'docs/contributing.md'), 'utf8');
const layers = [
  'cli.ts',
  ...[
    ...page.slice(page.indexOf('## Layout'), page.indexOf('## Tests')).matchAll(/^\| `([a-z-]+)` \|/gm),
  ].map(([, name]) => name as string),
];
const layerOf = (file: string): number => layers.indexOf(file.split('/', 1)[0] as string);

t.test('every file is in a folder that docs/contributing.md names, but the entry', (t) => {
  for (const file of files) t.not(layerOf(file), -1, file);
  t.end();
});

t.test('a folder imports itself and the folders below it', (t) => {
  for (const [file, targets] of imports) {
    for (const target of targets) {
      t.ok(texts.has(target), `${file}: ${target} exists`);
      t.ok(layerOf(file) <= layerOf(target), `${file} imports ${target}`);
    }
  }
  t.end();
});

t.test('no file imports itself by way of others', (t) => {
  const done = new Set<string>();
  const walk = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) t.fail([...way.slice(way.indexOf(file)), file].join(' → '));
    if (way.includes(file) || done.has(file)) return;
    for (const target of imports.get(file) ?? []) walk(target, [...way, file]);
    done.add(file);
  };
  for (const file of files) walk(file, []);
  t.equal(done.size, files.length);
  t.end();
});

t.test(`no file is longer than ${MAX_LINES} lines`, (t) => {
  for (const [file, text] of texts) {
    const lines = text.split('\n').length - 1;
    t.ok(lines <= MAX_LINES, `${file} has ${lines} lines`);
  }
  t.end();
});
