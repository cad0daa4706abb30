import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import { goDurationNanoseconds } from '../../model/duration.js';
import type { CorsPolicy } from '../../model/rule.js';
import { TOKEN } from '../../parse/grammar.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { compileOriginPattern } from '../pattern/pattern.js';

/** A `corsPolicy` that is valid by the schema. */
export interface CorsEntry {
  readonly allowOrigins?: readonly {
    readonly exact?: string;
    readonly prefix?: string;
    readonly regex?: string;
  }[];
  readonly allowMethods?: readonly string[];
  readonly allowHeaders?: readonly string[];
  readonly exposeHeaders?: readonly string[];
  readonly allowCredentials?: boolean;
  /** A duration (v1beta1), or seconds (v2). */
  readonly maxAge?: string | number;
}

/** The value of a browser's Origin field (RFC 6454 §7). */
const ORIGIN = /^(null|[a-z][a-z0-9+.-]*:\/\/[^/?#\s@]+)$/;

/**
 * Compiles a `corsPolicy`. The expression of an origin must be as safe as that of a path.
 *
 * @param base the path of the policy in the document
 * @param budget the limits for the analysis of its patterns
 */
export function compileCors(
  document: SourceDocument,
  base: Path,
  entry: CorsEntry,
  budget: AnalysisBudget = UNLIMITED,
): { policy: CorsPolicy; findings: Finding[] } {
  const findings: Finding[] = [];
  const error = (path: Path, code: string, problem: string): void => {
    const message = `${path.join('.')}: ${problem}`;
    findings.push({ ...document.at(path), level: 'error', code, message });
  };
  const exact = new Set<string>();
  const prefixes: string[] = [];
  const patterns: RegExp[] = [];
  (entry.allowOrigins ?? []).forEach((origin, index) => {
    const path = [...base, 'allowOrigins', index];
    const [kind, ...more] = Object.keys(origin) as (keyof typeof origin)[];
    if (kind === undefined || more.length > 0) {
      error(path, 'invalid-value', 'must have exactly one of exact, prefix and regex');
      return;
    }
    const value = origin[kind] as string;
    if (kind === 'regex') {
      const compiled = compileOriginPattern(value, budget);
      if (compiled.ok) patterns.push(compiled.pattern);
      else error([...path, 'regex'], compiled.code, compiled.message);
    } else if (kind === 'prefix') {
      prefixes.push(value);
    } else if (value !== '*' && value.includes('*')) {
      const [start = '', end = ''] = value
        .split('*')
        .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      const problem = `"${value}": * is not a wildcard in exact; write regex: '${start}[a-z0-9-]+${end}'`;
      error([...path, 'exact'], 'invalid-value', problem);
    } else if (value !== '*' && !ORIGIN.test(value)) {
      error(
        [...path, 'exact'],
        'invalid-value',
        `"${value}" is not an origin: write scheme, host and port in lower case, without a path`,
      );
    } else {
      exact.add(value);
    }
  });
  for (const field of ['allowMethods', 'allowHeaders', 'exposeHeaders'] as const) {
    const what = field === 'allowMethods' ? 'method' : 'header field name';
    (entry[field] ?? []).forEach((name, index) => {
      if (!TOKEN.test(name))
        error([...base, field, index], 'invalid-value', `"${name}" is not a valid ${what}`);
    });
  }
  const maxAge = entry.maxAge === undefined ? undefined : secondsOf(entry.maxAge);
  if (Number.isNaN(maxAge))
    error([...base, 'maxAge'], 'invalid-value', 'must be a duration such as 10m or 1h30m');
  const any = exact.has('*');
  if (any && entry.allowCredentials === true) {
    const problem =
      'with allowCredentials, "*" would let every website send requests as its visitors; list the allowed origins';
    error([...base, 'allowCredentials'], 'invalid-value', problem);
  }
  const warn = (index: number, problem: string): void => {
    const path = [...base, 'allowOrigins', index];
    const message = `${path.join('.')}: ${problem}`;
    findings.push({ ...document.at(path), level: 'warning', code: 'cors-open-origin', message });
  };
  (entry.allowOrigins ?? []).forEach(({ prefix, regex }, index) => {
    if (prefix !== undefined && /^[^:]*(:\/\/[^:/]*)?$/.test(prefix)) {
      warn(
        index,
        `the prefix ${prefix} also matches hosts of others, such as ${prefix}.example; end it with the colon before a port, or write exact`,
      );
    }
    // Nobody can own this name (`.invalid`), so an expression that matches it matches any origin.
    if (regex !== undefined && patterns.some((pattern) => pattern.test('https://anybody.invalid'))) {
      warn(index, 'allows every origin');
    }
  });
  return {
    policy: {
      answers: true,
      allowsOrigin: (origin) =>
        any ||
        exact.has(origin) ||
        prefixes.some((prefix) => origin.startsWith(prefix)) ||
        patterns.some((pattern) => pattern.test(origin)),
      methods: entry.allowMethods ?? [],
      headers: entry.allowHeaders ?? [],
      exposed: entry.exposeHeaders ?? [],
      credentials: entry.allowCredentials ?? false,
      maxAge,
    },
    findings,
  };
}

/** Converts a Go duration (`1h30m`) to whole seconds; NaN if it is not one. */
function secondsOf(value: string | number): number {
  return typeof value === 'number' ? value : Math.floor((goDurationNanoseconds(value) ?? Number.NaN) / 1e9);
}

/** The policy that removes the upstream's CORS fields and sets none. */
export const NO_CORS: CorsPolicy = {
  answers: false,
  allowsOrigin: () => false,
  methods: [],
  headers: [],
  exposed: [],
  credentials: false,
  maxAge: undefined,
};
