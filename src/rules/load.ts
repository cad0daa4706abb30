import { isDeepStrictEqual } from 'node:util';
import { byPosition, type Finding, type Position } from '../document/finding.js';
import { readDocuments, type SourceDocument } from '../document/yaml.js';
import type { RuleTable } from '../model/rule.js';
import { compileApiRule, type RuleDefaults } from './apirule/apirule.js';
import { type ApiRuleDocument, apiRules } from './apirule/manifest.js';
import { hostsOf, nameOf, withName } from './apirule/name.js';
import { compileResources, type ResourceSettings } from './apirule/protected-resource.js';
import { templateIn } from './apirule/unexpanded.js';
import { readRuleFiles } from './files.js';
import { type Compiled, leaveOut, leaveOutOverlaps } from './leave-out.js';
import { apiRuleOf } from './table/disjointness.js';
import { type Built, buildTable } from './table/table.js';

/** Told how far something that may take long has come: what is done, how many of how many. */
export type Progress = (what: string, done: number, of: number) => void;

/** How rules are loaded. */
export interface LoadOptions extends RuleDefaults {
  /** What becomes of two rules that match one request. */
  readonly overlap: 'error' | 'specific';
  /** The resources whose metadata is published. */
  readonly resources: readonly ResourceSettings[];
  /** What becomes of an APIRule that cannot be served; by default the whole set is refused. */
  readonly unserved?: 'refuse' | 'leaveOut';
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
  const { documents, findings } = readRules(paths, progress);
  const compiled = compileAll(documents, options, progress);
  const named = new Map(
    compiled.flatMap(({ rules }) => rules.map((rule) => [rule.source, apiRuleOf(rule)] as const)),
  );
  const empty = compiled.every(({ rules, findings }) => rules.length === 0 && !findings.some(isError));
  if (empty && !findings.some(isError)) {
    const message = 'no APIRule was found; a gateway without rules would answer nothing but 404';
    findings.push({ file: paths[0] ?? 'rules', line: 1, col: 1, level: 'error', code: 'no-rules', message });
  }

  const left = new Set<Compiled>();
  leaveOut(compiled, left, options);
  let built = build(compiled, left, options, progress);
  if (options.unserved === 'leaveOut' && leaveOutOverlaps(compiled, left, built.findings)) {
    leaveOut(compiled, left, options);
    built = build(compiled, left, options, progress);
  }
  findings.push(...compiled.flatMap((each) => each.findings));
  for (const finding of built.findings) {
    const { file, line, col } = finding;
    const full = withName(finding, finding.apiRule ?? named.get(`${file}:${line}:${col}`));
    // An overlap that could not be left out is among those of its APIRule already.
    if (!findings.some((other) => isDeepStrictEqual(withName(other, other.apiRule), full)))
      findings.push(full);
  }
  findings.sort(byPosition);
  if (built.table === undefined || findings.some(isError)) return { findings };
  return { table: built.table, findings };
}

function readRules(
  paths: readonly string[],
  progress: Progress,
): { documents: ApiRuleDocument[]; findings: Finding[] } {
  const { files, findings } = readRuleFiles(paths);
  const documents: SourceDocument[] = [];
  for (const [index, { file, text }] of files.entries()) {
    progress('reading files', index + 1, files.length);
    const read = readDocuments(text, file);
    const template = read.findings.length > 0 ? templateIn(text, file) : undefined;
    // What YAML says of a template helps nobody, and neither does what is left of it.
    findings.push(...(template === undefined ? read.findings : [template]));
    if (template === undefined) documents.push(...read.documents);
  }
  const found = apiRules(documents);
  return { documents: found.rules, findings: [...findings, ...found.findings] };
}

function compileAll(
  documents: readonly ApiRuleDocument[],
  options: LoadOptions,
  progress: Progress,
): Compiled[] {
  const names = new Map<string, Position>();
  return documents.map(({ document, readable, findings: problems }, index): Compiled => {
    progress('compiling APIRules', index + 1, documents.length);
    const { rules, findings } = readable ? compileApiRule(document, options) : { rules: [], findings: [] };
    findings.push(...problems);
    const name = nameOf(document);
    const named = findings.map((finding) => withName(finding, name));
    const hosts = hostsOf(document, options.domain, options.serviceHosts);
    // A broken document says enough about itself; a copy of a good one would only repeat every rule of it.
    const copy = findings.some(isError) ? undefined : duplicateName(document, names);
    return copy === undefined
      ? { document, name, hosts, rules, findings: named }
      : { document, name, hosts, rules: [], findings: [copy, ...named] };
  });
}

function build(
  compiled: readonly Compiled[],
  left: ReadonlySet<Compiled>,
  options: LoadOptions,
  progress: Progress,
): Built {
  const rules = compiled.filter((each) => !left.has(each)).flatMap((each) => each.rules);
  const resources = compileResources(options.resources, rules, options.handlers);
  const { table, findings } = buildTable([...rules, ...resources.rules], {
    overlap: options.overlap,
    version: options.version,
    resources: resources.index,
    compared: (done, of) => progress('comparing rules', done, of),
  });
  return table === undefined ? { findings } : { table, findings };
}

function isError({ level }: Finding): boolean {
  return level === 'error';
}

/** Kubernetes would keep only one of two APIRules with one name; a folder can hold both. */
function duplicateName(document: SourceDocument, names: Map<string, Position>): Finding | undefined {
  const name = nameOf(document) as string;
  const position = document.at(['metadata', 'name']);
  const earlier = names.get(name);
  if (earlier === undefined) {
    names.set(name, position);
    return undefined;
  }
  const message = `the APIRule ${name} stands at ${earlier.file}:${earlier.line}:${earlier.col} already`;
  return { ...position, level: 'error', code: 'duplicate-apirule', message };
}
