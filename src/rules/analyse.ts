import { byPosition, type Finding, MAX_FINDINGS, type Position } from '../document/finding.js';
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
import { apiRuleOf, type OverlapMode, positionOf } from './table/overlaps.js';
import { type Proved, proveRules } from './table/table.js';

/** How rules are checked and proved. */
export interface AnalysisOptions extends RuleDefaults {
  /** What becomes of two rules that match one request. */
  readonly overlap: OverlapMode;
  /** The resources whose metadata is published. */
  readonly resources: readonly ResourceSettings[];
  /** What becomes of an APIRule that cannot be served; by default the whole set is refused. */
  readonly unserved?: 'refuse' | 'leaveOut';
}

/** One APIRule, compiled. */
export interface CompiledDocument extends Compiled {
  readonly document: RecordedDocument;
}

/** An accepted set. */
export interface AcceptedRules extends Omit<Proved, 'findings'> {
  /** Those that are served, with their rules, in order. */
  readonly apiRules: readonly CompiledDocument[];
  /** All rules: those of the APIRules, and then those that publish resources. */
  readonly rules: readonly Rule[];
  readonly resources: ResourceIndex | undefined;
}

/** The result of analysing the files of a set. */
export interface Analysed {
  /** Absent if a finding is an error. */
  readonly accepted?: AcceptedRules;
  /** In order of their positions; only errors if there are too many to show. */
  readonly findings: Finding[];
}

/** Rules times hosts times methods: the table holds each of them in memory. */
const MAX_ENTRIES = 500_000;
/** A text takes so much of the heap for each of its bytes while it is decoded and read. */
const DECODED = 3;

/**
 * Checks, compiles and proves a whole set. It finds everything that is wrong in one run; exceeding a limit ends the run.
 *
 * @param paths what the settings name: the position of a finding that is about all of them
 * @param files as they were read
 * @param unread what was wrong with reading them
 * @param budget for all of it; it is told what is being worked on
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
  /** Those that are about no APIRule. */
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

  /** Reads one file, a document at a time, so that the syntax of only one is held in memory. */
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
    // What YAML says of a template helps nobody, and neither does what is left of it.
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
      const message = 'the rule file or folder is not UTF-8 text';
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

  /** A broken document says enough about itself; a copy of a good one would only repeat every rule of it. */
  #withoutCopy(each: CompiledDocument): CompiledDocument {
    if (each.name === undefined || each.findings.some(isError)) return each;
    const copy = duplicateName(each.name, each.document, this.#names);
    return copy === undefined ? each : { ...each, rules: [], findings: [copy, ...each.findings] };
  }

  /**
   * Leaves out what the settings allow to leave out, and proves the rest.
   *
   * @param place the file of a finding that is about all of them
   * @param hasErrors whether files could not be read
   */
  prove(place: string, hasErrors: boolean): AcceptedRules {
    const compiled = this.#compiled;
    const isEmpty = compiled.every(({ rules, findings }) => rules.length === 0 && !findings.some(isError));
    if (isEmpty && !hasErrors && !this.#findings.some(isError)) {
      const message = 'no APIRule was found; a gateway without rules would answer nothing but 404';
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

  /** Everything that was found, with the APIRule that it is about. */
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
      // An overlap that could not be left out is among those of its APIRule already.
      if (!known.has(keyOf(full))) found.push(full);
    }
    return found;
  }
}

function keyOf(finding: Finding): string {
  const { file, line, col, level, code, message, apiRule } = withName(finding, finding.apiRule);
  return JSON.stringify([file, line, col, level, code, message, apiRule]);
}

function describe({ path, id }: Rule): string {
  return `${path} (${id})`;
}

function isError({ level }: Finding): boolean {
  return level === 'error';
}

/** In order of positions, and not more than a person reads: of too many, the errors. */
function readable(findings: readonly Finding[]): Finding[] {
  const ordered = findings.toSorted(byPosition);
  if (ordered.length <= MAX_FINDINGS) return ordered;
  const errors = ordered.filter(isError);
  const kept = (errors.length === 0 ? ordered : errors).slice(0, MAX_FINDINGS);
  const last = kept.at(-1) as Finding;
  const message = `there are ${ordered.length - kept.length} more findings; ${errors.length} of all are errors`;
  return [...kept, { ...last, code: 'more-findings', message }];
}

/** Kubernetes would keep only one of two APIRules with one name; a folder can hold both. */
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
  const message = `the APIRule ${name} stands at ${earlier.file}:${earlier.line}:${earlier.col} already`;
  return { ...position, level: 'error', code: 'duplicate-apirule', message };
}
