import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Ajv } from 'ajv';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { SCHEMAS, schemaText } from '../../src/commands/schema.js';
import { apiRule, rule } from '../gateway.js';
import { filesOf } from '../image/files.js';
import { root } from '../root.js';

const ajv = new Ajv({ strict: false, allErrors: true });
const checks = Object.fromEntries(
  Object.entries(SCHEMAS).map(([name, schema]) => [`${name}.schema.json`, ajv.compile(schema())]),
);

/** Where a value does not fit. */
function misfits(schema: string, value: unknown): string[] {
  const check = checks[schema];
  if (check === undefined) throw new Error(`no schema ${schema}`);
  check(value);
  return (check.errors ?? []).map(({ instancePath }) => instancePath);
}

t.test('every schema ships as the command prints it', (t) => {
  for (const name of Object.keys(SCHEMAS) as (keyof typeof SCHEMAS)[]) {
    const shipped = readFileSync(join(root, `config/${name}.schema.json`), 'utf8');
    t.equal(schemaText(name), shipped, 'renew with: npm run docs');
  }
  t.end();
});

t.test('what is shipped names its schema, and fits it', (t) => {
  let checked = 0;
  for (const path of filesOf(join(root, 'config')).filter((name) => name.endsWith('.yaml'))) {
    const text = readFileSync(path, 'utf8');
    const [, schema] = /^# yaml-language-server: \$schema=(\S+)$/m.exec(text) ?? [];
    if (schema === undefined) {
      t.notMatch(text, /kind: APIRule|^introspection:/m, `${relative(root, path)} needs no schema of ours`);
      continue;
    }
    const file = join(dirname(path), schema);
    t.ok(existsSync(file), file);
    for (const document of parseAllDocuments(text)) {
      if (document.contents === null) continue;
      t.same(misfits(relative(join(root, 'config'), file), document.toJS()), [], relative(root, path));
      checked++;
    }
  }
  t.ok(checked > 5, `${checked} documents`);
  t.end();
});

t.test('an editor finds a mistake where it is, down to a handler’s configuration', (t) => {
  const of = (...rules: readonly object[]) =>
    JSON.parse(apiRule('a.example', rules)) as Record<string, unknown>;
  const strategies = (handler: string, config: unknown) => ({
    path: '/x',
    methods: ['GET'],
    accessStrategies: [{ handler, config }],
  });
  const apirule = (value: unknown) => misfits('apirule.schema.json', value);
  t.same(apirule(of(rule('/.*', ['GET'], 'read'))), []);
  t.same(apirule(of(strategies('allow', null))), []);
  const config = '/spec/rules/0/accessStrategies/0/config';
  t.ok(apirule(of(strategies('oauth2_introspection', { required_scopes: ['read'] }))).includes(config));
  t.ok(apirule(of(strategies('oauth2_introspect', {}))).includes('/spec/rules/0/accessStrategies/0/handler'));
  t.ok(apirule({ ...of(rule('/.*', ['GET'], 'read')), apiVersion: 'v1' }).includes('/apiVersion'));
  const v2 = {
    apiVersion: 'gateway.kyma-project.io/v2',
    kind: 'APIRule',
    metadata: { name: 'a' },
    spec: {
      hosts: ['a'],
      gateway: 'g/h',
      service: { name: 's', port: 80 },
      rules: [{ path: '/*', methods: ['GET'], noAuth: true }],
    },
  };
  t.same(apirule(v2), []);
  t.ok(apirule({ ...v2, spec: { ...v2.spec, host: 'a' } }).includes('/spec'));
  t.same(misfits('cases.schema.json', { cases: [{ request: 'GET https://a/', expect: 200 }] }), []);
  t.same(misfits('cases.schema.json', { cases: [{ request: 'GET https://a/', expected: 200 }] }), [
    '/cases/0',
    '/cases/0',
  ]);
  t.same(misfits('settings.schema.json', { rules: ['a'], introspection: { uri: 'a' } }), ['/introspection']);
  t.end();
});
