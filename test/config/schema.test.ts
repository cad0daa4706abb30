import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import t from 'tap';
import { settingsSchema } from '../../src/config/schema.js';

const shipped = new URL('../../../config/settings.schema.json', import.meta.url);

t.test('the schema that ships is the one that validates', (t) => {
  t.same(
    JSON.parse(readFileSync(shipped, 'utf8')),
    settingsSchema,
    'renew with: scopegate schema > config/settings.schema.json',
  );
  t.end();
});

t.test('it is a valid draft-07 schema, and each default fits its own leaf', (t) => {
  const ajv = new Ajv({ strict: true });
  t.ok(ajv.validateSchema(settingsSchema));
  const visit = (schema: typeof settingsSchema, path: string): void => {
    if (schema.default !== undefined) t.ok(new Ajv().validate({ ...schema }, schema.default), path);
    for (const [key, child] of Object.entries(schema.properties ?? {})) visit(child, `${path}.${key}`);
  };
  visit(settingsSchema, '');
  t.end();
});
