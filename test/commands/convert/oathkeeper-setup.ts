import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { parseAllDocuments, stringify } from 'yaml';
import { main } from '../../../src/cli.js';
import { loadRules } from '../../../src/rules/load.js';
import { options } from '../../rules/options.js';
import { Recorder } from '../io.js';

/** An access rule; what is not told is the plainest. */
export function access(more: object = {}): Record<string, unknown> {
  return {
    id: 'parcels',
    match: { url: 'http://depot.example/parcels', methods: ['GET'] },
    authenticators: [{ handler: 'noop' }],
    authorizer: { handler: 'allow' },
    mutators: [{ handler: 'noop' }],
    upstream: { url: 'http://parcels:8080' },
    ...more,
  };
}

export const matching = (url: string, more: object = {}) =>
  access({ match: { url, methods: ['GET'] }, ...more });

export interface Rule {
  readonly path: string;
  readonly methods: readonly string[];
  readonly accessStrategies: readonly { readonly handler: string; readonly config?: object }[];
  readonly mutators?: readonly object[];
  readonly scopegate?: Readonly<Record<string, unknown>>;
}

/** What every conversion without a configuration says. */
export const UNKNOWN = /^convert: without --config nobody knows which handlers Oathkeeper had enabled/;

/** What a configuration says that enables the handlers of these names. */
export const enabled = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [name, { enabled: true }]));

/** A configuration that enables what plain rules need, and says where tokens are introspected. */
export function configuration(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const introspection = { introspection_url: 'http://hydra:4445/admin/oauth2/introspect' };
  return {
    ...more,
    authenticators: {
      ...enabled('noop', 'anonymous', 'jwt'),
      oauth2_introspection: { enabled: true, config: introspection },
      ...(more.authenticators as object | undefined),
    },
    authorizers: { ...enabled('allow'), ...(more.authorizers as object | undefined) },
    mutators: { ...enabled('noop', 'header'), ...(more.mutators as object | undefined) },
  };
}

export async function convert(
  t: Test,
  files: Readonly<Record<string, unknown>>,
  args: (at: (name: string) => string) => readonly string[] = (at) => [at('rules.json')],
) {
  const folder = t.testdir({});
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === 'string' ? content : stringify(content));
  }
  const io = new Recorder();
  const at = (name: string) => join(folder, name);
  const code = await main(['convert', ...args(at)], io);
  const told = io.stderr.replaceAll(`${folder}/`, '').trimEnd().split('\n');
  const lines = told.filter((line) => !UNKNOWN.test(line));
  const rules = parseAllDocuments(io.stdout)
    .map(
      (document) => document.toJS() as { spec: { host: string; rules: [Rule]; corsPolicy?: object } } | null,
    )
    .filter((document) => document !== null);
  const target = join(folder, 'apirules.yaml');
  writeFileSync(target, io.stdout);
  return { code, told, lines, rules, folder, out: io.stdout, load: () => loadRules([target], options) };
}
