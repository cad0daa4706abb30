import type { Finding, Position } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { AnalysisBudget } from '../budget.js';
import { behaviourOf } from '../pattern/backtracking.js';
import { parse } from '../pattern/syntax.js';
import { wordBoundaryProblem } from '../pattern/word-boundaries.js';

/** The most items that `uniqueItems` may compare with each other, if the items can be of any type. */
const MAX_COMPARED = 100;
const SCALARS: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'boolean', 'null']);

/**
 * Finds parts of a rule's JSON Schema of claims that take more than linear time. Users can influence the
 * values of their claims, so they could slow the gateway down. It finds patterns that can backtrack, and
 * `uniqueItems` if each item must be compared with every other one. A keyword counts wherever it stands,
 * because a `$ref` can use any part of the document as a schema.
 *
 * @param base the path of the schema in the document
 * @param schema has been compiled before, so its patterns are valid
 * @param budget the limits for the analysis of its patterns
 */
export function slowClaims(
  document: SourceDocument,
  base: Path,
  schema: unknown,
  budget: AnalysisBudget,
): Finding[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]: [string, unknown]) => {
    const path = [...base, Array.isArray(schema) ? Number(key) : key];
    const findings = slowClaims(document, path, value, budget);
    if (key === 'pattern' && typeof value === 'string') {
      findings.push(...judge(value, document.at(path), path, budget));
    }
    if (key === 'patternProperties' && typeof value === 'object' && value !== null) {
      for (const source of Object.keys(value)) {
        const place = [...path, source];
        findings.push(...judge(source, document.keyAt(place), place, budget));
      }
    }
    if (key === 'uniqueItems' && value === true && !isCheap(schema)) {
      const message = `${path.join('.')}: takes quadratic time: say that items are of a scalar type, or maxItems of ${MAX_COMPARED} at most`;
      findings.push({ ...document.at(path), level: 'error', code: 'slow-claims', message });
    }
    return findings;
  });
}

/** Whether the validator can find equal items with a hash table, or has only few items to compare. */
function isCheap({ items, maxItems }: { readonly items?: unknown; readonly maxItems?: unknown }): boolean {
  if (typeof maxItems === 'number' && maxItems <= MAX_COMPARED) return true;
  const types = [(items as { readonly type?: unknown } | null | undefined)?.type ?? []].flat();
  return types.length > 0 && types.every((type) => SCALARS.has(type));
}

function judge(source: string, position: Position, path: Path, budget: AnalysisBudget): Finding[] {
  const problem = problemOf(source, budget);
  if (problem === undefined) return [];
  const message = `${path.join('.')}: ${problem}`;
  return [{ ...position, level: 'error', code: 'pattern-backtracking', message }];
}

function problemOf(source: string, budget: AnalysisBudget): string | undefined {
  let pattern: RegExp;
  try {
    // The validator uses the same flag.
    pattern = new RegExp(source, 'u');
  } catch {
    // The pattern is invalid, so it is in a place that no `$ref` uses as a schema.
    return undefined;
  }
  const boundaries = wordBoundaryProblem(parse(source, true));
  if (boundaries !== undefined) return `${boundaries}: ${source}`;
  const behaviour = behaviourOf(pattern, budget);
  switch (behaviour.verdict) {
    case 'linear':
      return undefined;
    case 'super-linear':
      return `matching takes ${behaviour.complexity} time: ${source} on the text ${behaviour.attack}; rewrite it without nested or adjacent repetitions of the same characters`;
    case 'unknown':
      return `scopegate cannot prove that it matches in linear time (${behaviour.reason}): ${source}; simplify it`;
  }
}
