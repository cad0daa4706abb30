import { authorizers } from '../../auth/authorizers/table.js';
import { compileErrorHandler, errorHandlersSchema } from '../../auth/error-handlers/compile.js';
import { oauth2Introspection } from '../../auth/strategies/oauth2-introspection.js';
import { ConfigError, type Finding, isError } from '../../document/finding.js';
import { nearest } from '../../document/nearest.js';
import { validate } from '../../document/validate.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import { oathkeeperDurationSchema } from '../../model/duration.js';
import type { Mutator } from '../../model/mutator.js';
import type { PathAllowances, PathRewrite, Rule } from '../../model/rule.js';
import { canonicalPath } from '../../parse/target.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { compilePattern } from '../pattern/pattern.js';
import { exampleOf, relate } from '../pattern/relation.js';
import type { HandlerEntry } from './access-strategies.js';

const refuseOrKeep = { enum: ['refuse', 'keep'] } as const;
const path = { type: 'string', title: 'a path such as /api', pattern: '^/' } as const;
const handlers = {
  type: 'array',
  minItems: 1,
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['handler'],
    properties: { handler: { type: 'string', minLength: 1 }, config: { type: ['object', 'null'] } },
  },
} as const;

/** JSON Schema of a rule's `scopegate` field: options that Kyma's APIRules do not have. */
export const optionsSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    encodedSlash: refuseOrKeep,
    encodedPercent: refuseOrKeep,
    semicolon: refuseOrKeep,
    emptySegments: refuseOrKeep,
    undecidedPattern: { enum: ['refuse', 'accept'] },
    staleIfError: oathkeeperDurationSchema,
    revocation: { enum: ['ignore', 'observe'] },
    stripPath: path,
    upstreamPath: path,
    preserveHost: { type: 'boolean' },
    authorizers: handlers,
    errors: errorHandlersSchema,
    enforcement: { enum: ['enforce', 'observe'] },
  },
} as const;

/** The value of a rule's `scopegate` field, valid by {@link optionsSchema}. */
export type RuleOptions = Readonly<Partial<Record<keyof PathAllowances, 'refuse' | 'keep'>>> & {
  readonly undecidedPattern?: 'refuse' | 'accept';
  readonly staleIfError?: string;
  readonly revocation?: 'ignore' | 'observe';
  readonly stripPath?: string;
  readonly upstreamPath?: string;
  readonly preserveHost?: boolean;
  readonly authorizers?: readonly HandlerEntry[];
  readonly errors?: readonly HandlerEntry[];
  readonly enforcement?: 'enforce' | 'observe';
};

/** The parts of a rule that depend only on its options. */
export type OptionParts = Pick<
  Rule,
  'allows' | 'revokes' | 'rewrite' | 'preserveHost' | 'authorizers' | 'errors' | 'observes'
>;

/** The compiled options together with the authorizers, which run before the rule's mutators. */
export interface CompiledOptions {
  readonly parts: OptionParts;
  readonly authorizers: readonly Mutator[];
  readonly findings: readonly Finding[];
}

/**
 * Compiles the options of a rule.
 *
 * @param base the path of the rule in the document
 * @param enforcement the default if the rule does not set it
 */
export function compileOptions(
  document: SourceDocument,
  base: Path,
  options: RuleOptions,
  accessStrategies: readonly HandlerEntry[],
  enforcement: 'enforce' | 'observe',
): CompiledOptions {
  const at = [...base, 'scopegate'];
  const findings: Finding[] = [];
  const report = (level: Finding['level'], place: Path, code: string, problem: string): void => {
    findings.push({ ...document.at(place), level, code, message: `${place.join('.')}: ${problem}` });
  };
  if (
    options.staleIfError !== undefined &&
    !accessStrategies.some(({ handler }) => handler === oauth2Introspection.name)
  ) {
    report(
      'error',
      [...at, 'staleIfError'],
      'invalid-value',
      `it has no effect unless the rule has the handler ${oauth2Introspection.name}; add the handler, or remove the field`,
    );
  }
  if (options.enforcement === 'observe') {
    const problem = 'a dry run: requests that the rule denies are forwarded; write enforce to refuse them';
    report('warning', [...at, 'enforcement'], 'observe-only', problem);
  }
  const rewrite = rewriteOf(options, (name, problem) =>
    report('error', [...at, name], 'invalid-value', problem),
  );
  const compiled: Mutator[] = [];
  const names: string[] = [];
  (options.authorizers ?? []).forEach((entry, index) => {
    const place = [...at, 'authorizers', index];
    const kind = authorizers.get(entry.handler);
    if (kind === undefined) {
      const hint = nearest(entry.handler, authorizers.keys());
      const more = hint === undefined ? '' : `; did you mean "${hint}"?`;
      report(
        'error',
        [...place, 'handler'],
        'unknown-handler',
        `no authorizer is called "${entry.handler}"${more}`,
      );
      return;
    }
    const config = entry.config ?? {};
    const configAt = entry.config === undefined || entry.config === null ? place : [...place, 'config'];
    const violations = validate(document, kind.schema, configAt, config);
    findings.push(...violations);
    if (violations.length > 0) return;
    names.push(kind.name);
    try {
      const authorizer = kind.compile(config);
      if (authorizer !== undefined) compiled.push(authorizer);
      for (const { path: below, code, message } of kind.warnings?.(config) ?? []) {
        report('warning', [...configAt, ...below], code, message);
      }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      report('error', [...configAt, ...error.path], 'invalid-value', error.message);
    }
  });
  const errors = (options.errors ?? []).flatMap((entry, index) => {
    const place = [...at, 'errors', index];
    try {
      return [compileErrorHandler(entry)];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      report('error', [...place, ...error.path], 'invalid-value', error.message);
      return [];
    }
  });
  return {
    findings,
    authorizers: compiled,
    parts: {
      allows: {
        encodedSlash: options.encodedSlash === 'keep',
        encodedPercent: options.encodedPercent === 'keep',
        semicolon: options.semicolon === 'keep',
        emptySegments: options.emptySegments === 'keep',
      },
      ...(options.revocation === 'observe' ? { revokes: true } : {}),
      ...(rewrite === undefined ? {} : { rewrite }),
      ...(options.preserveHost === undefined ? {} : { preserveHost: options.preserveHost }),
      ...(names.length === 0 ? {} : { authorizers: names }),
      ...(errors.length === 0 ? {} : { errors }),
      ...((options.enforcement ?? enforcement) === 'observe' ? { observes: true } : {}),
    },
  };
}

function rewriteOf(
  { stripPath, upstreamPath }: RuleOptions,
  problem: (name: 'stripPath' | 'upstreamPath', text: string) => void,
): PathRewrite | undefined {
  if (stripPath === undefined && upstreamPath === undefined) return undefined;
  for (const [name, given] of Object.entries({ stripPath, upstreamPath })) {
    const wrong = given === undefined ? undefined : notCanonical(given);
    if (wrong !== undefined) problem(name as 'stripPath' | 'upstreamPath', wrong);
  }
  return { strip: stripPath ?? '', base: upstreamPath ?? '' };
}

/** Why a text cannot be the beginning of a path that is sent to the upstream; undefined if it can. */
function notCanonical(text: string): string | undefined {
  if (/[?#]/.test(text)) return `"${text}" must be a path without query and fragment`;
  const canonical = canonicalPath(text);
  if ('refused' in canonical) return `"${text}" is not a canonical path: ${canonical.refused}`;
  if (canonical.marks !== 0) return `"${text}" must not contain %2F, %25 or ";"`;
  const wanted = canonical.path.replace(/\/+$/, '');
  if (wanted === '') return 'every path begins with /, so it has no effect: remove the field';
  return wanted === text ? undefined : `"${text}" is not canonical: write ${wanted}`;
}

/**
 * Checks whether the paths of a rule begin with the prefix that it strips.
 *
 * @param base the path of the rule in the document
 * @param pattern the rule's compiled path
 * @returns an error if no path does; a warning if some do not, because requests for these are answered 400
 */
export function stripFindings(
  document: SourceDocument,
  base: Path,
  pattern: RegExp,
  { parts, findings }: CompiledOptions,
  budget: AnalysisBudget = UNLIMITED,
): Finding[] {
  const strip = parts.rewrite?.strip ?? '';
  if (strip === '' || findings.some(isError)) return [];
  const place = [...base, 'scopegate', 'stripPath'];
  const report = (level: Finding['level'], problem: string): Finding[] => {
    const message = `${place.join('.')}: ${problem}`;
    return [{ ...document.at(place), level, code: 'strip-path', message }];
  };
  const literal = strip.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const within = compilePattern(`${literal}(?:/.*)?`, { undecided: 'accept' });
  if (!within.ok) return [];
  const { relation } = relate(pattern, within.pattern, budget);
  if (relation === 'a-in-b' || relation === 'equal') return [];
  if (relation !== 'disjoint') {
    const problem = `a path of the rule that does not begin with the segments ${strip} gets 400, because there is no prefix to strip`;
    return report('warning', problem);
  }
  const example = exampleOf(pattern);
  const such = example === undefined ? '' : ` (such as ${example})`;
  return report(
    'error',
    `no path of the rule${such} begins with the segments ${strip}: write a prefix of the rule's paths`,
  );
}
