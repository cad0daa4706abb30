import type { Rule } from '../../src/decide.js';
import { compilePattern } from '../../src/rules/pattern.js';

let made = 0;

/** A compiled rule for the table's tests; what is not told is the tutorial's, at a place of its own. */
export function rule(parts: {
  path: string;
  id?: string;
  source?: string;
  hosts?: readonly string[];
  methods?: readonly string[];
  handler?: string;
  scopes?: readonly string[];
}): Rule {
  made++;
  const { path, id = `demo/rules#${made}`, source = `rules.yaml:${made}:1` } = parts;
  const compiled = compilePattern(path, { undecided: 'accept' });
  if (!compiled.ok) throw new Error(`${compiled.code}: ${compiled.message}`);
  return {
    id,
    source,
    hosts: parts.hosts ?? ['httpbin.kyma.local'],
    methods: parts.methods ?? ['GET'],
    path,
    pattern: compiled.pattern,
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
