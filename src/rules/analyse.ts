import { byPosition, type Finding, isError, MAX_FINDINGS, type Position } from '../document/finding.js';
import { documentsOf, type SourceDocument } from '../document/yaml.js';
import type { ResourceIndex, Rule } from '../model/rule.js';
import { decodeText, NotText } from '../model/text-file.js';
import { compileApiRule, type RuleDefaults } from './apirule/apirule.js';
import { type ApiRuleDocument, apiRules } from './apirule/manifest.js';
import { hostsOf, nameOf, withName } from './apirule/name.js';
import { compileResources, type ResourceSettings } from './apirule/protected-resource.js';
import { templateIn } from './apirule/unexpanded.js';
import { type LoadBudget, LoadLimitExceeded } from './budget.js';
import type { RuleFile } from './files.js';
import { type Compiled, leaveOut, leaveOutOverlaps } from './leave-out.js';
import { type RecordedDocument, recordPlaces } from './places.js';
import { apiRuleOf, describe, type OverlapMode, positionOf } from './table/overlaps.js';
import { type Proved, proveRules } from './table/table.js';

/** How a rule set is checked and proved. */
export interface AnalysisOptions extends RuleDefaults {
  /** What happens if two rules match the same request. */
  readonly overlap: OverlapMode;
  /** The protected resources whose metadata is published. */
  readonly resources: readonly ResourceSettings[];
  /** What happens to an APIRule that cannot be served. By default the whole set is refused. */
  readonly unserved?: 'refuse' | 'leaveOut';
}

/** One APIRule, compiled. */
export interface CompiledDocument extends Compiled {
  readonly document: RecordedDocument;
}

/** An accepted rule set. */
export interface AcceptedRules extends Omit<Proved, 'findings'> {
  /** The APIRules that are served, with their rules, in order. */
  readonly apiRules: readonly CompiledDocument[];
  /** All rules: first those of the APIRules, then those that publish metadata of resources. */
  readonly rules: readonly Rule[];
  readonly resources: ResourceIndex | undefined;
}

/** The result of analysing the files of a set. */
export interface Analysed {
  /** Absent if a finding is an error. */
  readonly accepted?: AcceptedRules;
  /** Sorted by position. If there are too many to show, only the errors. */
  readonly findings: Finding[];
}

/** The limit of rules times hosts times methods. The table holds each of these combinations in memory. */
const MAX_ENTRIES = 500_000;
/** Bytes of heap per byte of a text, while the text is decoded and parsed. */
const DECODED = 3;

/**
 * Checks, compiles and proves a whole rule set. It finds all errors in one run, except that exceeding a limit
 * ends the run.
 *
 * @param paths the paths from the settings; the first is the position of a finding about all files
 * @param files the files and their contents
 * @param unread the findings from reading the files
 * @param budget the limits of the whole analysis; it is also told what is being worked on
 */
export function analyseRules(
  paths: readonly string[],
  files: readonly RuleFile[],
  unread: readonly Finding[],
  options: AnalysisOptions,
  budget: LoadBudget,
): Analysed {
  const analysis = new Analysis(options, budget);
  const early = [...unread];
  let accepted: AcceptedRules | undefined;
  try {
    for (const [index, file] of files.entries()) analysis.read(file, index + 1, files.length);
    accepted = analysis.prove(paths[0] ?? 'rules', early.some(isError));
  } catch (error) {
    if (!(error instanceof LoadLimitExceeded)) throw error;
    early.push({ ...error.at, level: 'error', code: 'load-limit', message: error.message });
  }
  const findings = [...early, ...analysis.findings()];
  return accepted === undefined || findings.some(isError)
    ? { findings: readable(findings) }
    : { accepted, findings: readable(findings) };
}

class Analysis {
  readonly #options: AnalysisOptions;
  readonly #budget: LoadBudget;
  /** The findings that are not about one APIRule. */
  readonly #findings: Finding[] = [];
  readonly #compiled: CompiledDocument[] = [];
  readonly #left = new Set<Compiled>();
  readonly #names = new Map<string, Position>();
  #proved: readonly Finding[] = [];
  #entries = 0;

  constructor(options: AnalysisOptions, budget: LoadBudget) {
    this.#options = { ...options, budget };
    this.#budget = budget;
  }

  /** Reads one file, one document at a time, so that only one syntax tree is in memory. */
  read({ file, bytes }: RuleFile, done: number, of: number): void {
    const reading = (at: Position): void =>
      this.#budget.begin({ what: 'reading files', done, of, name: file, at });
    const start = { file, line: 1, col: 1 };
    reading(start);
    this.#budget.reserve(bytes.length * DECODED);
    const text = this.#decode(bytes, start);
    if (text === undefined) return;
    const problems: Finding[] = [];
    const others: Finding[] = [];
    const compiled: CompiledDocument[] = [];
    for (const document of documentsOf(text, file, problems, (more) => this.#budget.reserve(more))) {
      const { rules, findings } = apiRules([document]);
      for (const finding of findings) others.push(finding);
      for (const rule of rules) compiled.push(this.#compile(rule));
      reading(document.at([]));
    }
    const template = problems.length > 0 ? templateIn(text, file) : undefined;
    // The file is a template. YAML errors in a template do not help its author, and neither do findings about
    // its readable parts.
    if (template !== undefined) this.#findings.push(template);
    else {
      for (const finding of [...problems, ...others]) this.#findings.push(finding);
      for (const each of compiled) this.#compiled.push(this.#withoutCopy(each));
    }
  }

  #decode(bytes: Uint8Array, start: Position): string | undefined {
    try {
      return decodeText(bytes);
    } catch (error) {
      if (!(error instanceof NotText)) throw error;
      const message = 'the rule file is not UTF-8 text';
      this.#findings.push({ ...start, level: 'error', code: 'unreadable-file', message });
      return undefined;
    }
  }

  #compile({ document: source, readable, findings: problems }: ApiRuleDocument): CompiledDocument {
    const document = recordPlaces(source);
    const { rules, findings } = readable
      ? compileApiRule(document, this.#options)
      : { rules: [], findings: [] };
    const name = nameOf(document);
    document.at(['metadata', 'name']);
    this.#budget.grant(rules.length);
    for (const rule of rules) {
      this.#entries += rule.hosts.length * rule.methods.length;
      if (this.#entries > MAX_ENTRIES) {
        const message = `with this rule the rules have more than ${MAX_ENTRIES} combinations of a rule, a host and a method`;
        throw new LoadLimitExceeded(positionOf(rule), message);
      }
    }
    return {
      document: document.sealed(),
      name,
      hosts: hostsOf(document, this.#options.domain, this.#options.serviceHosts),
      rules,
      findings: [...findings, ...problems].map((finding) => withName(finding, name)),
    };
  }

  /**
   * Replaces an APIRule whose name is already taken by an error. An APIRule that has errors is kept as it is,
   * because these errors are enough. A duplicate without errors would otherwise give one more error for each
   * of its rules.
   */
  #withoutCopy(each: CompiledDocument): CompiledDocument {
    if (each.name === undefined || each.findings.some(isError)) return each;
    const copy = duplicateName(each.name, each.document, this.#names);
    return copy === undefined ? each : { ...each, rules: [], findings: [copy, ...each.findings] };
  }

  /**
   * Leaves out the APIRules that the settings allow to leave out, and proves the rest.
   *
   * @param place the file of a finding that is about the whole set
   * @param hasErrors whether some files could not be read
   */
  prove(place: string, hasErrors: boolean): AcceptedRules {
    const compiled = this.#compiled;
    const isEmpty = compiled.every(({ rules, findings }) => rules.length === 0 && !findings.some(isError));
    if (isEmpty && !hasErrors && !this.#findings.some(isError)) {
      const message =
        'no APIRule was found, so scopegate would answer every request with 404; check the setting rules';
      this.#findings.push({ file: place, line: 1, col: 1, level: 'error', code: 'no-rules', message });
    }
    leaveOut(compiled, this.#left, this.#options);
    let built = this.#build();
    if (this.#options.unserved === 'leaveOut' && leaveOutOverlaps(compiled, this.#left, built.findings)) {
      leaveOut(compiled, this.#left, this.#options);
      built = this.#build();
    }
    this.#proved = built.findings;
    return built;
  }

  #build(): AcceptedRules & Proved {
    const { overlap, handlers, resources: settings } = this.#options;
    const budget = this.#budget;
    const apiRules = this.#compiled.filter((each) => !this.#left.has(each));
    const written = apiRules.flatMap(({ rules }) => rules);
    const resources = compileResources(settings, written, handlers, undefined, budget);
    const rules = [...written, ...resources.rules];
    const comparing = (rule: Rule, done: number, of: number): void =>
      budget.begin({ what: 'comparing rules', done, of, name: describe(rule), at: positionOf(rule) });
    const { index, analysis, findings } = proveRules(rules, { overlap, budget, comparing });
    return { apiRules, rules, index, analysis, findings, resources: resources.index };
  }

  /** All findings, each with the APIRule that it is about. */
  findings(): Finding[] {
    const found = [...this.#findings];
    for (const each of this.#compiled) for (const finding of each.findings) found.push(finding);
    if (this.#proved.length === 0) return found;
    const named = new Map(
      this.#compiled.flatMap(({ rules }) => rules.map((rule) => [rule.source, apiRuleOf(rule)] as const)),
    );
    const known = new Set(found.map(keyOf));
    for (const finding of this.#proved) {
      const { file, line, col } = finding;
      const full = withName(finding, finding.apiRule ?? named.get(`${file}:${line}:${col}`));
      // If an overlap could not be left out, it is already among the findings of its APIRule.
      if (!known.has(keyOf(full))) found.push(full);
    }
    return found;
  }
}

function keyOf(finding: Finding): string {
  const { file, line, col, level, code, message, apiRule } = withName(finding, finding.apiRule);
  return JSON.stringify([file, line, col, level, code, message, apiRule]);
}

/**
 * Sorts findings by position. If there are more than a person reads, it returns only the errors, up to the
 * limit.
 */
function readable(findings: readonly Finding[]): Finding[] {
  const ordered = findings.toSorted(byPosition);
  if (ordered.length <= MAX_FINDINGS) return ordered;
  const errors = ordered.filter(isError);
  const kept = (errors.length === 0 ? ordered : errors).slice(0, MAX_FINDINGS);
  const last = kept.at(-1) as Finding;
  const message = `there are ${ordered.length - kept.length} more findings; ${errors.length} of all are errors`;
  return [...kept, { ...last, code: 'more-findings', message }];
}

/**
 * An error if another APIRule has the same name. Kubernetes would keep only one of them, but a folder can
 * hold both.
 */
function duplicateName(
  name: string,
  document: SourceDocument,
  names: Map<string, Position>,
): Finding | undefined {
  const position = document.at(['metadata', 'name']);
  const earlier = names.get(name);
  if (earlier === undefined) {
    names.set(name, position);
    return undefined;
  }
  const message = `the APIRule ${name} is already defined at ${earlier.file}:${earlier.line}:${earlier.col}; rename or remove one of them`;
  return { ...position, level: 'error', code: 'duplicate-apirule', message };
}
