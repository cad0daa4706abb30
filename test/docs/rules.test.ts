import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { handlers } from '../../src/handlers/table.js';
import { mutators } from '../../src/mutators/table.js';
import { ruleSchema, specSchema } from '../../src/rules/schema.js';
import { root } from '../root.js';

const page = readFileSync(join(root, 'docs/rules.md'), 'utf8');

t.test('docs/rules.md names every field of an APIRule', (t) => {
  for (const field of Object.keys(specSchema.properties)) t.match(page, `| \`spec.${field}\` |`);
  for (const field of Object.keys(ruleSchema.properties)) t.match(page, `| \`${field}\` |`);
  for (const field of Object.keys(ruleSchema.properties.scopegate.properties))
    t.match(page, `| \`${field}\` |`);
  t.end();
});

t.test('docs/rules.md names every handler and every field of its config', (t) => {
  for (const [name, { schema }] of handlers) {
    t.match(page, `| \`${name}\` |`);
    for (const field of Object.keys((schema.properties ?? {}) as object))
      t.match(page, `\`${field}\``, `${name}: ${field}`);
  }
  t.end();
});

t.test('docs/rules.md names every mutator and every field of its config', (t) => {
  for (const [name, { schema }] of mutators) {
    t.match(page, `| \`${name}\` |`);
    for (const field of Object.keys((schema.properties ?? {}) as object))
      t.match(page, `\`${field}\``, `${name}: ${field}`);
  }
  t.end();
});
