import { LRUCache } from 'lru-cache';
import type { Finding } from '../document/finding.js';
import type { Path, SourceDocument } from '../document/yaml.js';
import { behaviourOf } from './backtracking.js';

/**
 * Finds the patterns in a rule's JSON Schema of claims that can be made to backtrack super-linearly: users have a say in
 * what stands in their claims. `pattern` and the keys of `patternProperties` are patterns wherever they stand, for a
 * `$ref` can make a schema of anything.
 *
 * @param base the path of the schema in the document
 * @param schema compiled before: its patterns are valid
 */
export function slowClaimPatterns(document: SourceDocument, base: Path, schema: unknown): Finding[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]: [string, unknown]) => {
    const path = [...base, Array.isArray(schema) ? Number(key) : key];
    const findings = slowClaimPatterns(document, path, value);
    if (key === 'pattern' && typeof value === 'string') {
      findings.push(...judge(value, document.at(path), path));
    }
    if (key === 'patternProperties' && typeof value === 'object' && value !== null) {
      for (const source of Object.keys(value)) {
        const place = [...path, source];
        findings.push(...judge(source, document.keyAt(place), place));
      }
    }
    return findings;
  });
}

/** Analyses are worth keeping over a reload. */
const problems = new LRUCache<string, { readonly problem: string | undefined }>({ max: 1_000 });

function judge(source: string, position: ReturnType<SourceDocument['at']>, path: Path): Finding[] {
  let known = problems.get(source);
  if (known === undefined) {
    known = { problem: problemOf(source) };
    problems.set(source, known);
  }
  if (known.problem === undefined) return [];
  const message = `${path.join('.')}: ${known.problem}`;
  return [{ ...position, level: 'error', code: 'pattern-backtracking', message }];
}

function problemOf(source: string): string | undefined {
  let pattern: RegExp;
  try {
    // As the validator has it.
    pattern = new RegExp(source, 'u');
  } catch {
    // In a place that nothing refers to.
    return undefined;
  }
  const behaviour = behaviourOf(pattern);
  switch (behaviour.verdict) {
    case 'linear':
      return undefined;
    case 'super-linear':
      return `matching takes ${behaviour.complexity} time: ${source} on the text ${behaviour.attack}`;
    case 'unknown':
      return `cannot be shown to match in linear time (${behaviour.reason}): ${source}`;
  }
}
