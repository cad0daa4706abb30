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
  const lines = io.stderr.replaceAll(`${folder}/`, '').trimEnd().split('\n');
  const rules = parseAllDocuments(io.stdout)
    .map(
      (document) => document.toJS() as { spec: { host: string; rules: [Rule]; corsPolicy?: object } } | null,
    )
    .filter((document) => document !== null);
  const target = join(folder, 'apirules.yaml');
  writeFileSync(target, io.stdout);
  return { code, lines, rules, folder, out: io.stdout, load: () => loadRules([target], options) };
}
