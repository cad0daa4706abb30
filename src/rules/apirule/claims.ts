import type { Finding, Position } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { AnalysisBudget } from '../budget.js';
import { behaviourOf } from '../pattern/backtracking.js';

/** The most items that are compared with each other, in a list whose items may be anything. */
const MAX_COMPARED = 100;
const SCALARS: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'boolean', 'null']);

/**
 * Finds what takes more than linear time in a rule's JSON Schema of claims: users have a say in what stands in their
 * claims. That is patterns that can be made to backtrack, and `uniqueItems` where each item must be compared with every
 * other one. A keyword is taken for one wherever it stands, for a `$ref` can make a schema of anything.
 *
 * @param base the path of the schema in the document
 * @param schema compiled before: its patterns are valid
 * @param budget for the analysis of its patterns
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

/** Whether the validator finds equal items by a table, or has few to compare. */
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
    // As the validator has it.
    pattern = new RegExp(source, 'u');
  } catch {
    // In a place that nothing refers to.
    return undefined;
  }
  const behaviour = behaviourOf(pattern, budget);
  switch (behaviour.verdict) {
    case 'linear':
      return undefined;
    case 'super-linear':
      return `matching takes ${behaviour.complexity} time: ${source} on the text ${behaviour.attack}`;
    case 'unknown':
      return `cannot be shown to match in linear time (${behaviour.reason}): ${source}`;
  }
}
