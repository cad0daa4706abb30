import { jwtSchema } from '../../auth/strategies/jwt-config.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import type { HandlerEntry } from './access-strategies.js';
import type { CorsEntry } from './cors.js';
import { pathPattern } from './path-template.js';
import { apiRuleSchema, corsSchema, GROUP, ruleSchema, specSchema } from './schema.js';
import type { ApiRuleVersion, RuleEntry, Service } from './version.js';

/** The versions of the APIRule after v1beta1. They are equal in every field that scopegate reads. */
export const LATER_VERSIONS: readonly string[] = [`${GROUP}/v2`, `${GROUP}/v2alpha1`];

const { service, timeout, methods, scopegate } = ruleSchema.properties;
const values = { type: ['object', 'null'], additionalProperties: { type: 'string' } } as const;
const { authentications, authorizations } = jwtSchema.properties;
const jwt = {
  type: ['object', 'null'],
  additionalProperties: false,
  required: ['authentications'],
  properties: { authentications, authorizations },
} as const;

interface Rule {
  readonly path: string;
  readonly methods: readonly string[];
  readonly service?: Service;
  readonly timeout?: number;
  readonly noAuth?: boolean | null;
  readonly jwt?: Readonly<Record<string, unknown>> | null;
  readonly extAuth?: {
    readonly authorizers: readonly string[];
    readonly restrictions?: Readonly<Record<string, unknown>> | null;
  } | null;
  readonly request?: {
    readonly headers?: Readonly<Record<string, string>> | null;
    readonly cookies?: Readonly<Record<string, string>> | null;
  } | null;
  readonly scopegate?: RuleEntry['scopegate'];
}

/**
 * APIRule `v2` and `v2alpha1`, which write hosts, paths and strategies in other ways. The order of rules has
 * no effect here either: where Kyma relied on the order, scopegate proves which rule answers, or refuses the
 * rules.
 */
export const v2: ApiRuleVersion = {
  documentSchema: apiRuleSchema,
  specSchema: {
    ...specSchema,
    required: ['hosts', 'rules'],
    properties: {
      hosts: { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } },
      service: specSchema.properties.service,
      gateway: specSchema.properties.gateway,
      externalGateway: specSchema.properties.gateway,
      timeout: specSchema.properties.timeout,
      corsPolicy: corsSchema({ type: 'integer', title: 'a whole number of seconds', minimum: 1 }),
      rules: specSchema.properties.rules,
    },
  },
  ruleSchema: {
    type: 'object',
    additionalProperties: false,
    required: ['path', 'methods'],
    properties: {
      path: { type: 'string', minLength: 1 },
      methods,
      service,
      timeout,
      noAuth: { type: ['boolean', 'null'] },
      jwt,
      extAuth: {
        type: ['object', 'null'],
        additionalProperties: false,
        required: ['authorizers'],
        properties: {
          authorizers: { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } },
          restrictions: jwt,
        },
      },
      request: {
        type: ['object', 'null'],
        additionalProperties: false,
        properties: { headers: values, cookies: values },
      },
      scopegate,
    },
  },
  removesCors: true,

  spec(value) {
    const { hosts, service, timeout, corsPolicy } = value as {
      readonly hosts: readonly string[];
      readonly service?: Service;
      readonly timeout?: number;
      readonly corsPolicy?: CorsEntry | null;
    };
    return {
      hosts: hosts.map((text, index) => ({ text, path: ['spec', 'hosts', index] })),
      service,
      timeout,
      corsPolicy,
    };
  },

  entry(value, at, document, findings) {
    const rule = value as Rule;
    const error = (path: Path, code: string, problem: string): void => {
      const message = `${path.join('.')}: ${problem}`;
      findings.push({ ...document.at(path), level: 'error', code, message });
    };
    const before = findings.length;
    const strategies = [rule.noAuth === true, isGiven(rule.jwt), isGiven(rule.extAuth)].filter(
      Boolean,
    ).length;
    if (strategies !== 1)
      error(at, 'handler-combination', 'must have exactly one of noAuth: true, jwt and extAuth');
    const pattern = pathPattern(rule.path);
    if ('problem' in pattern) error([...at, 'path'], 'bad-pattern', pattern.problem);
    if (findings.length > before || 'problem' in pattern) return undefined;
    const mutators = mutatorsOf(rule);
    const checked = rule.jwt ?? rule.extAuth?.restrictions;
    return {
      path: pattern.source,
      shown: rule.path,
      methods: rule.methods,
      accessStrategies: [isGiven(checked) ? { handler: 'jwt', config: checked } : { handler: 'no_auth' }],
      mutators,
      ...(isGiven(rule.extAuth) ? { extAuth: rule.extAuth.authorizers } : {}),
      ...(rule.service === undefined ? {} : { service: rule.service }),
      ...(rule.timeout === undefined ? {} : { timeout: rule.timeout }),
      ...(rule.scopegate === undefined ? {} : { scopegate: rule.scopegate }),
    };
  },

  places(document): SourceDocument {
    const place = (path: Path): Path => {
      const [spec, rules, index, part, position, , ...rest] = path;
      const base = [spec, rules, index] as (string | number)[];
      const rule = ruleOf(document, index);
      if (part === 'accessStrategies') return [...base, ...accessOf(rule), ...rest];
      if (part !== 'mutators') return path;
      const request = rule?.request;
      const kinds = KINDS.filter(([field]) => isGiven(request?.[field]));
      return [...base, 'request', kinds[Number(position)]?.[0] ?? '', ...rest.slice(1)];
    };
    return {
      ...document,
      at: (path) => document.at(place(path)),
      keyAt: (path) => document.keyAt(place(path)),
    };
  },

  words: (message, document) =>
    message
      .replace(
        /rules\.(\d+)\.accessStrategies\.0(\.config|\.handler)?/,
        (_, index: string) => `rules.${index}.${accessOf(ruleOf(document, index)).join('.')}`,
      )
      .replace(/mutators\.\d+\.config\./, 'request.'),
};

interface Spec {
  readonly spec?: { readonly rules?: readonly unknown[] };
}

function ruleOf(document: SourceDocument, index: string | number | undefined): Rule | undefined {
  return (document.value as Spec).spec?.rules?.[Number(index)] as Rule | undefined;
}

/** The path, below a rule, of what this version has in place of an access strategy with a `config`. */
function accessOf(rule: Rule | undefined): string[] {
  return isGiven(rule?.extAuth) ? ['extAuth', 'restrictions'] : ['jwt'];
}

const KINDS = [
  ['headers', 'header'],
  ['cookies', 'cookie'],
] as const;

function isGiven<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}

function mutatorsOf({ request }: Rule): HandlerEntry[] {
  return KINDS.filter(([field]) => isGiven(request?.[field])).map(([field, handler]) => ({
    handler,
    config: { [field]: request?.[field] ?? {} },
    dialect: 'envoy',
  }));
}
