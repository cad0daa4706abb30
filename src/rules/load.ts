import { byPosition, type Finding, type Position } from '../document/finding.js';
import { readDocuments, type SourceDocument } from '../document/yaml.js';
import type { Rule, RuleTable } from '../model/rule.js';
import { compileApiRule, type RuleDefaults } from './apirule/apirule.js';
import { apiRules } from './apirule/manifest.js';
import { compileResources, type ResourceSettings } from './apirule/protected-resource.js';
import { readRuleFiles } from './files.js';
import { buildTable } from './table/table.js';

/** Told how far something that may take long has come: what is done, how many of how many. */
export type Progress = (what: string, done: number, of: number) => void;

/** How rules are loaded. */
export interface LoadOptions extends RuleDefaults {
  /** What becomes of two rules that match one request. */
  readonly overlap: 'error' | 'specific';
  /** The resources whose metadata is published. */
  readonly resources: readonly ResourceSettings[];
  /** The table's version. */
  readonly version: number;
}

/**
 * Reads all APIRules from files and folders and compiles them into one table. All or nothing: one error anywhere, and
 * there is no table. All that is wrong is found in one run.
 *
 * @param paths files, and folders of `*.yaml`, `*.yml` and `*.json`
 * @param progress told of every file read, every APIRule compiled, and every rule compared with the others
 * @returns the table where no finding is an error; findings in order of their positions
 */
export function loadRules(
  paths: readonly string[],
  options: LoadOptions,
  progress: Progress = () => {},
): { table?: RuleTable; findings: Finding[] } {
  const { files, findings } = readRuleFiles(paths);
  const documents: SourceDocument[] = [];
  for (const [index, { file, text }] of files.entries()) {
    progress('reading files', index + 1, files.length);
    const read = readDocuments(text, file);
    findings.push(...read.findings);
    documents.push(...read.documents);
  }
  const found = apiRules(documents);
  findings.push(...found.findings);

  const rules: Rule[] = [];
  const names = new Map<string, Position>();
  for (const [index, document] of found.rules.entries()) {
    progress('compiling APIRules', index + 1, found.rules.length);
    const compiled = compileApiRule(document, options);
    // A broken document says enough about itself; a copy of a good one would only repeat every rule of it.
    const copy = compiled.findings.some(isError) ? undefined : duplicateName(document, names);
    if (copy === undefined) rules.push(...compiled.rules);
    else findings.push(copy);
    findings.push(...compiled.findings);
  }
  if (rules.length === 0 && !findings.some(isError)) {
    const message = 'no APIRule was found; a gateway without rules would answer nothing but 404';
    findings.push({ file: paths[0] ?? 'rules', line: 1, col: 1, level: 'error', code: 'no-rules', message });
  }
  const resources = compileResources(options.resources, rules, options.handlers);
  const built = buildTable([...rules, ...resources.rules], {
    overlap: options.overlap,
    version: options.version,
    resources: resources.index,
    compared: (done, of) => progress('comparing rules', done, of),
  });
  findings.push(...built.findings);
  findings.sort(byPosition);
  if (built.table === undefined || findings.some(isError)) return { findings };
  return { table: built.table, findings };
}

function isError({ level }: Finding): boolean {
  return level === 'error';
}

/** Kubernetes would keep only one of two APIRules with one name; a folder can hold both. */
function duplicateName(document: SourceDocument, names: Map<string, Position>): Finding | undefined {
  const { metadata } = document.value as { metadata: { name: string; namespace?: string } };
  const name = `${metadata.namespace ?? 'default'}/${metadata.name}`;
  const position = document.at(['metadata', 'name']);
  const earlier = names.get(name);
  if (earlier === undefined) {
    names.set(name, position);
    return undefined;
  }
  const message = `the APIRule ${name} stands at ${earlier.file}:${earlier.line}:${earlier.col} already`;
  return { ...position, level: 'error', code: 'duplicate-apirule', message };
}
