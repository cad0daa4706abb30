import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { leaves } from '../../src/config/schema.js';
import { root } from '../root.js';
import { settingsPage } from './settings.js';

t.test('docs/settings.md is what the schema says', (t) => {
  t.equal(readFileSync(join(root, 'docs/settings.md'), 'utf8'), settingsPage(), 'else run `npm run docs`');
  t.end();
});

t.test('every setting has a row of four cells', (t) => {
  const page = settingsPage();
  for (const { path } of leaves()) {
    const rows = page.split('\n').filter((line) => line.startsWith(`| \`${path.join('.')}\` |`));
    t.equal(rows.length, 1, path.join('.'));
    t.equal(rows[0]?.split(/(?<!\\)\|/).length, 6, `${path.join('.')}: no cell is torn`);
  }
  t.end();
});
