import t from 'tap';
import { parse } from 'yaml';
import { TRIAL } from '../../src/commands/convert/trial.js';
import { settingsOf } from '../../src/config/settings.js';
import type { Finding } from '../../src/document/finding.js';
import { readDocuments } from '../../src/document/yaml.js';
import { compileApiRule } from '../../src/rules/apirule/apirule.js';
import { root } from '../root.js';
import { pages } from './page.js';

/** Pages whose YAML blocks without a file name are parts of a rule or of the settings, or a whole APIRule. */
const PAGES = ['docs/rules.md', 'docs/migration.md'];

type Part = Readonly<Record<string, unknown>>;

for (const path of PAGES) {
  t.test(`${path}: every part of a rule or of the settings that it shows is one`, (t) => {
    const page = pages().find((each) => each.path === path);
    const parts = (page?.blocks ?? []).filter(({ language, info }) => language === 'yaml' && info === '');
    t.not(parts.length, 0, 'there are some');
    for (const { text, line } of parts) {
      const errors = findingsOf(parse(text)).filter(({ level }) => level === 'error');
      t.same(errors, [], `${path}:${line}`);
    }
    t.end();
  });
}

t.test('a part with a mistake is found', (t) => {
  for (const mistake of [
    [{ handler: 'oauth2_introspection', config: { required_scopes: ['read'] } }],
    { accessStrategies: [{ handler: 'oauth2' }] },
    { scopegate: { stripPath: 'api' } },
    { mutators: [{ handler: 'header', config: { headers: { 'X-User': '{{ if .Subject }}' } } }] },
    { kyma: { jwksUrl: [] } },
  ])
    t.not(findingsOf(mistake).length, 0, JSON.stringify(mistake));
  t.end();
});

function findingsOf(part: Part | readonly unknown[]): readonly Finding[] {
  if (Array.isArray(part)) return ofRule({ accessStrategies: part });
  if ('kind' in part) return ofApiRule(part as Part);
  if (['accessStrategies', 'mutators', 'scopegate'].some((field) => field in part))
    return ofRule(part as Part);
  return settingsOf({ rules: ['.'], introspection: { url: 'http://127.0.0.1/' }, ...part }, root, {})
    .findings;
}

function ofRule(part: Part): readonly Finding[] {
  // A path that fits the prefixes of the examples.
  const rule = { path: '/api/.*', methods: ['GET'], accessStrategies: [{ handler: 'no_auth' }], ...part };
  return ofApiRule({
    apiVersion: 'gateway.kyma-project.io/v1beta1',
    kind: 'APIRule',
    metadata: { name: 'example' },
    spec: { gateway: 'none/none', host: 'a.example', service: { name: 'a', port: 80 }, rules: [rule] },
  });
}

function ofApiRule(apiRule: Part): readonly Finding[] {
  const { documents, findings } = readDocuments(JSON.stringify(apiRule), 'example');
  return [...findings, ...documents.flatMap((document) => compileApiRule(document, TRIAL).findings)];
}
