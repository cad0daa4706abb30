import { createHash } from 'node:crypto';
import { type Finding, isError, type Position } from '../document/finding.js';
import type { OverlapSummary, Rule, RuleTable } from '../model/rule.js';
import type { AcceptedRules } from './analyse.js';
import { compileApiRuleInSteps } from './apirule/apirule.js';
import { compileResources } from './apirule/protected-resource.js';
import type { LoadOptions } from './load.js';
import { describePattern, learnPatterns, type PatternDescription } from './pattern/pattern.js';
import { type RecordedDocument, withPlaces } from './places.js';
import { type HostEntry, HostIndex } from './table/hosts.js';
import { growTable, summary } from './table/table.js';

/**
 * A part of an accepted rule set, as plain data that one thread can send to another. The APIRules come first,
 * each with the patterns of its rules. Then come the overlaps of the rules, and last the summary. A piece is
 * small, because the receiving thread deserializes it in one step.
 */
export type Piece =
  | { readonly kind: 'patterns'; readonly patterns: readonly PatternDescription[] }
  | { readonly kind: 'document'; readonly file: string; readonly value: unknown }
  /** Elements of the document's `spec.rules`, in order. */
  | { readonly kind: 'rules'; readonly rules: readonly unknown[] }
  /** The positions in the document that its rules need, by path. */
  | { readonly kind: 'places'; readonly places: readonly (readonly [path: string, place: Position])[] }
  /** The document is complete, and has this number of rules. */
  | { readonly kind: 'compile'; readonly rules: number }
  /** The metadata documents of published resources, in the order of the settings. */
  | { readonly kind: 'resources'; readonly texts: readonly string[] }
  | {
      readonly kind: 'depths';
      readonly host: string;
      readonly method: string;
      readonly depths: readonly (readonly [rule: number, depth: number])[];
    }
  /** Pairs of rules: the first lies directly inside the second. */
  | { readonly kind: 'inside'; readonly pairs: readonly (readonly [inner: number, outer: number])[] }
  | { readonly kind: 'rivals'; readonly rule: number; readonly others: readonly number[] }
  | { readonly kind: 'end'; readonly overlaps: OverlapSummary; readonly digest: string };

/** The number of elements in one piece. */
const PATTERNS = 100;
const RULES = 50;
const NUMBERS = 2_000;

/** Splits an accepted set into pieces. It runs on the thread that accepted the set. */
export function* dismantle(accepted: AcceptedRules): Generator<Piece> {
  const known = new Set<RegExp>();
  for (const { document, rules } of accepted.apiRules) {
    const patterns = [...new Set(rules.map(({ pattern }) => pattern))].filter(
      (pattern) => !known.has(pattern),
    );
    for (const pattern of patterns) known.add(pattern);
    yield* piecesOf(document, rules, patterns);
  }
  yield* piecesOfAnalysis(accepted);
}

function* piecesOf(
  { file, value, places }: RecordedDocument,
  rules: readonly Rule[],
  patterns: readonly RegExp[],
): Generator<Piece> {
  for (const some of parts(patterns, PATTERNS))
    yield { kind: 'patterns', patterns: some.map(describePattern) };
  const { spec, ...fields } = value as { spec: { rules: readonly unknown[] } };
  yield { kind: 'document', file, value: { ...fields, spec: { ...spec, rules: [] } } };
  for (const some of parts(spec.rules, RULES)) yield { kind: 'rules', rules: some };
  for (const some of parts([...places], NUMBERS)) yield { kind: 'places', places: some };
  yield { kind: 'compile', rules: rules.length };
}

function* piecesOfAnalysis({ rules, analysis }: AcceptedRules): Generator<Piece> {
  const texts = rules.flatMap(({ document }) => (document === undefined ? [] : [document.text]));
  yield { kind: 'resources', texts };
  const numbers = new Map(rules.map((rule, number) => [rule, number]));
  const numberOf = (rule: Rule): number => numbers.get(rule) as number;
  for (const [{ host, method }, inner] of analysis.depths) {
    const depths = [...inner].map(([rule, depth]) => [numberOf(rule), depth] as const);
    for (const some of parts(depths, NUMBERS)) yield { kind: 'depths', host, method, depths: some };
  }
  for (const [rule, others] of analysis.rivals) {
    yield { kind: 'rivals', rule: numberOf(rule), others: others.map(numberOf) };
  }
  const { inside, ...overlaps } = summary(analysis);
  if (inside !== undefined) {
    const numbersById = new Map(rules.map(({ id }, number) => [id, number]));
    const pairs = inside.map((pair) => pair.map((id) => numbersById.get(id) as number) as [number, number]);
    // At least one piece, so that the other side knows that the pairs are known.
    for (const some of pairs.length === 0 ? [pairs] : parts(pairs, NUMBERS))
      yield { kind: 'inside', pairs: some };
  }
  const digest = new RulesDigest();
  for (const rule of rules) digest.add(rule);
  yield { kind: 'end', overlaps, digest: digest.end() };
}

function* parts<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}

/** A digest of what the rules match. It shows that two threads have the same rules in the same order. */
class RulesDigest {
  readonly #hash = createHash('sha256');

  add({ id, hosts, methods, pattern }: Rule): void {
    this.#hash.update(JSON.stringify([id, hosts, methods, pattern.source, pattern.flags]));
  }

  end(): string {
    return this.#hash.digest('base64');
  }
}

/** Reassembles an accepted set. It runs on the thread that serves it. */
class Assembler {
  readonly #options: LoadOptions;
  readonly #rules: Rule[] = [];
  readonly #index = new HostIndex();
  readonly #depths = new Map<HostEntry, Map<Rule, number>>();
  readonly #rivals = new Map<Rule, Rule[]>();
  readonly #digest = new RulesDigest();
  /** Undefined if the pairs are too many to tell. */
  #inside: (readonly [inner: string, outer: string])[] | undefined;
  #resources: ReturnType<typeof compileResources>['index'];
  #document:
    | { file: string; value: { spec: { rules: unknown[] } }; places: Map<string, Position> }
    | undefined;

  constructor(options: LoadOptions) {
    this.#options = { ...options, areAccepted: true };
  }

  /** @returns the table after the last piece; findings if a rule is not acceptable any more */
  *take(piece: Piece): Generator<void, RuleTable | Finding[] | undefined> {
    switch (piece.kind) {
      case 'patterns':
        learnPatterns(piece.patterns);
        return undefined;
      case 'document':
        this.#document = {
          file: piece.file,
          value: piece.value as { spec: { rules: unknown[] } },
          places: new Map(),
        };
        return undefined;
      case 'rules':
        this.#document?.value.spec.rules.push(...piece.rules);
        return undefined;
      case 'places':
        for (const [path, place] of piece.places) this.#document?.places.set(path, place);
        return undefined;
      case 'compile':
        return yield* this.#compile(piece.rules);
      case 'resources':
        return yield* this.#publish(piece.texts);
      case 'depths': {
        const entry = this.#index.entry(piece.host, piece.method) as HostEntry;
        const inner = this.#depths.get(entry) ?? new Map<Rule, number>();
        for (const [rule, depth] of piece.depths) inner.set(this.#rule(rule), depth);
        this.#depths.set(entry, inner);
        return undefined;
      }
      case 'inside':
        this.#inside ??= [];
        for (const [inner, outer] of piece.pairs)
          this.#inside.push([this.#rule(inner).id, this.#rule(outer).id]);
        return undefined;
      case 'rivals':
        this.#rivals.set(
          this.#rule(piece.rule),
          piece.others.map((other) => this.#rule(other)),
        );
        return undefined;
      case 'end':
        return yield* this.#end(piece.overlaps, piece.digest);
    }
  }

  *#compile(expected: number): Generator<void, Finding[] | undefined> {
    if (this.#document === undefined) throw new TypeError('a document of the rule set is missing');
    const { file, value, places } = this.#document;
    const document = withPlaces(file, value, places);
    const { rules, findings } = yield* compileApiRuleInSteps(document, this.#options);
    // A file that a rule names may have become invalid since the other thread read it.
    const errors = findings.filter(isError);
    if (errors.length > 0) return errors;
    if (rules.length !== expected)
      throw new TypeError(`an APIRule has ${rules.length} rules, not ${expected}`);
    for (const rule of rules) {
      this.#add(rule);
      yield;
    }
    this.#document = undefined;
    return undefined;
  }

  *#publish(texts: readonly string[]): Generator<void, undefined> {
    const { resources, handlers } = this.#options;
    const published = compileResources(resources, this.#rules, handlers, texts);
    this.#resources = published.index;
    for (const rule of published.rules) {
      this.#add(rule);
      yield;
    }
  }

  *#end(overlaps: OverlapSummary, digest: string): Generator<void, RuleTable> {
    if (this.#digest.end() !== digest) throw new TypeError('the rules are not those that were accepted');
    const analysis = { depths: this.#depths, rivals: this.#rivals };
    const parts = { version: this.#options.version, resources: this.#resources };
    const whole = this.#inside === undefined ? overlaps : { ...overlaps, inside: this.#inside };
    return yield* growTable(this.#rules, this.#index, analysis, whole, parts);
  }

  #add(rule: Rule): void {
    this.#rules.push(rule);
    this.#index.add(rule);
    this.#digest.add(rule);
  }

  #rule(number: number): Rule {
    const rule = this.#rules[number];
    if (rule === undefined) throw new TypeError(`the rule ${number} of the rule set is missing`);
    return rule;
  }
}

/**
 * Reassembles an accepted set, in steps of a few microseconds: compiles its rules and builds their table. It
 * proves nothing again.
 *
 * @param pieces all pieces of {@link dismantle}, in order
 * @param options the options that the set was accepted with, and secrets and keys
 * @returns the table, or findings if a file that a rule names has become invalid
 * @throws TypeError if a piece is missing, or the rules are not those that were accepted
 */
export function* assemble(
  pieces: Iterable<Piece>,
  options: LoadOptions,
): Generator<void, RuleTable | Finding[]> {
  const assembler = new Assembler(options);
  for (const piece of pieces) {
    const result = yield* assembler.take(piece);
    if (result !== undefined) return result;
    yield;
  }
  throw new TypeError('the end of the rule set is missing');
}
