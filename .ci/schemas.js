/**
 * Compiles the schemas that documents are held against, so that no process has to when it starts. `.ci/bundle.js` puts the
 * result into the bundle, and `npm test` into what the compiler made.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';

/** Every schema that documents are held against. One that is missing here is compiled when it is used. */
async function schemas(load) {
  const [{ settingsSchema }, { v1beta1 }, { v2 }, { handlers }, { mutators }, { authorizers }] =
    await Promise.all(
      [
        'config/schema',
        'rules/apirule/v1beta1',
        'rules/apirule/v2',
        'auth/strategies/table',
        'auth/mutators/table',
        'auth/authorizers/table',
      ].map((file) => load(`${file}.js`)),
    );
  const dialects = [v1beta1, v2].flatMap(({ documentSchema, specSchema, ruleSchema }) => [
    documentSchema,
    specSchema,
    ruleSchema,
  ]);
  const configs = [...handlers.values(), ...mutators.values(), ...authorizers.values()].map(
    ({ schema }) => schema,
  );
  return new Set([settingsSchema, ...dialects, ...configs]);
}

/**
 * @param {string} compiled the folder of what the compiler made
 * @returns the text of the module that stands for `document/precompiled.js`
 */
export async function precompiled(compiled) {
  const load = (file) => import(pathToFileURL(join(compiled, file)).href);
  const { OPTIONS, digest } = await load('document/compile.js');
  const ajv = new Ajv({ ...OPTIONS, code: { source: true, esm: true } });
  const names = new Map();
  for (const schema of await schemas(load)) {
    const key = digest(schema);
    if (names.has(key)) continue;
    ajv.addSchema(schema, key);
    names.set(key, `check${names.size}`);
  }
  const code = standalone.default(ajv, Object.fromEntries([...names].map(([key, name]) => [name, key])));
  const entries = [...names].map(([key, name]) => `[${JSON.stringify(key)}, ${name}]`);
  return `${code}\nexport const precompiled = new Map([${entries.join(', ')}]);\n`;
}
