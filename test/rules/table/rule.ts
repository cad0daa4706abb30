import type { Rule } from '../../../src/model/rule.js';
import { compilePattern } from '../../../src/rules/pattern/pattern.js';
import { wrap } from '../../../src/rules/pattern/syntax.js';

interface Parts {
  readonly path: string;
  readonly id?: string;
  readonly source?: string;
  readonly hosts?: readonly string[];
  readonly methods?: readonly string[];
  readonly handler?: string;
  readonly scopes?: readonly string[];
}

let made = 0;

/** A compiled rule for the table's tests; what is not told is the tutorial's, at a place of its own. */
export function rule(parts: Parts): Rule {
  const compiled = compilePattern(parts.path, { undecided: 'accept' });
  if (!compiled.ok) throw new Error(`${compiled.code}: ${compiled.message}`);
  return { ...ruleOf(parts), pattern: compiled.pattern };
}

/** The same with a pattern that need not be fit to serve. */
export function ruleOf(parts: Parts): Rule {
  made++;
  const { path, id = `demo/rules#${made}`, source = `rules.yaml:${made}:1` } = parts;
  return {
    id,
    source,
    hosts: parts.hosts ?? ['httpbin.kyma.local'],
    methods: parts.methods ?? ['GET'],
    path,
    pattern: wrap(path, ''),
    strategies: [
      {
        handler: parts.handler ?? 'oauth2_introspection',
        requiredScopes: parts.scopes ?? [],
        authenticate: () => ({ kind: 'pass' }),
      },
    ],
    upstream: { origin: 'http://127.0.0.1:8000' } as unknown as Rule['upstream'],
    timeout: 180_000,
    allows: { encodedSlash: false, encodedPercent: false, semicolon: false, emptySegments: false },
  };
}
