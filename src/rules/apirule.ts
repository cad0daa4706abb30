import type { CorsPolicy } from '../cors.js';
import type { PathAllowances, Rule } from '../decide.js';
import type { Finding } from '../document/finding.js';
import { nearest } from '../document/nearest.js';
import { validate } from '../document/validate.js';
import type { Path, SourceDocument } from '../document/yaml.js';
import type { Upstream } from '../forward/upstream.js';
import type { HandlerDefaults } from '../handlers/strategy.js';
import { compileAccess, type HandlerEntry } from './access.js';
import { type CorsEntry, compileCors } from './cors.js';
import { readRuleHost } from './host.js';
import { compileMutators } from './mutators.js';
import { compilePattern } from './pattern.js';
import { apiRuleSchema, ruleSchema, specSchema } from './schema.js';
import { resolveService, type ServiceTemplates } from './service.js';

/** What the gateway's settings say that an APIRule does not. */
export interface RuleDefaults {
  /** Where services live. */
  readonly services: ServiceTemplates;
  /** Appended to hosts without a dot. */
  readonly domain?: string;
  /** The longest wait for an upstream's answer, in milliseconds, where neither rule nor APIRule says. */
  readonly timeout: number;
  readonly handlers: HandlerDefaults;
}

/** An APIRule as its schema has it. */
interface ApiRule {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: Spec;
}

interface Spec {
  readonly host: string;
  readonly service?: Service;
  readonly timeout?: number;
  readonly corsPolicy?: CorsEntry | null;
  readonly rules: readonly unknown[];
}

interface Service {
  readonly name: string;
  readonly namespace?: string;
  readonly port: number;
}

interface RuleEntry {
  readonly path: string;
  readonly methods: readonly string[];
  readonly service?: Service;
  readonly timeout?: number;
  readonly accessStrategies: readonly HandlerEntry[];
  readonly mutators?: readonly HandlerEntry[] | null;
  readonly scopegate?: Readonly<Partial<Record<keyof PathAllowances, 'refuse' | 'keep'>>> & {
    readonly undecidedPattern?: 'refuse' | 'accept';
  };
}

/** Kyma's list, without the two that no reverse proxy may forward. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const REFUSED_METHODS: Readonly<Record<string, string>> = {
  CONNECT: 'it asks for a tunnel, which would pass every later check by',
  TRACE: "it sends the request's own header fields back, credentials included",
};

/**
 * Turns one APIRule document (`gateway.kyma-project.io/v1beta1`) into compiled rules.
 *
 * @returns the rules that compiled, and everything that is wrong with the document and the other ones
 */
export function compileApiRule(
  document: SourceDocument,
  defaults: RuleDefaults,
): { rules: Rule[]; findings: Finding[] } {
  const outer = validate(document, apiRuleSchema);
  const spec = (document.value as { spec?: unknown }).spec;
  // Without a spec, the document's own finding has said so.
  const inner = spec === undefined ? [] : validate(document, specSchema, ['spec'], spec);
  const findings = [...outer, ...inner];
  const list = (spec as Partial<Spec> | undefined | null)?.rules;
  if (!Array.isArray(list)) return { rules: [], findings };

  const compiler = new Compiler(document, defaults, findings);
  const entries = list.map((value, index) => compiler.entry(value, index));
  if (outer.length + inner.length > 0) {
    for (const [index, entry] of entries.entries()) if (entry !== undefined) compiler.parts(entry, index);
    return { rules: [], findings };
  }
  return { rules: compiler.rules(document.value as ApiRule, entries), findings };
}

/** What of a rule does not depend on the APIRule around it. */
type Parts = Pick<Rule, 'methods' | 'path' | 'pattern' | 'strategies' | 'mutators' | 'allows'>;

class Compiler {
  readonly #document: SourceDocument;
  readonly #defaults: RuleDefaults;
  readonly #findings: Finding[];

  constructor(document: SourceDocument, defaults: RuleDefaults, findings: Finding[]) {
    this.#document = document;
    this.#defaults = defaults;
    this.#findings = findings;
  }

  /** The element of `spec.rules`, or undefined after its findings. */
  entry(value: unknown, index: number): RuleEntry | undefined {
    const violations = validate(this.#document, ruleSchema, ['spec', 'rules', index], value);
    this.#findings.push(...violations);
    return violations.length === 0 ? (value as RuleEntry) : undefined;
  }

  rules(apiRule: ApiRule, entries: readonly (RuleEntry | undefined)[]): Rule[] {
    const { metadata, spec } = apiRule;
    const namespace = metadata.namespace ?? 'default';
    const cors = this.#cors(spec);
    const host = readRuleHost(spec.host, this.#defaults.domain);
    if ('problem' in host) this.#error(['spec', 'host'], 'invalid-value', host.problem);

    const upstreams = this.#upstreams(spec, namespace, entries);

    return entries.flatMap((entry, index): Rule[] => {
      if (entry === undefined) return [];
      const parts = this.parts(entry, index);
      const upstream = upstreams[index];
      if (parts === undefined || upstream === undefined || 'problem' in host) return [];
      const seconds = entry.timeout ?? spec.timeout;
      const { file, line, col } = this.#document.at(['spec', 'rules', index]);
      return [
        {
          id: `${namespace}/${metadata.name}#${index}`,
          source: `${file}:${line}:${col}`,
          hosts: [host.host],
          ...parts,
          upstream,
          ...(cors === undefined ? {} : { cors }),
          timeout: seconds === undefined ? this.#defaults.timeout : seconds * 1000,
        },
      ];
    });
  }

  parts(entry: RuleEntry, index: number): Parts | undefined {
    const base: Path = ['spec', 'rules', index];
    const before = this.#findings.length;
    this.#methods(entry.methods, [...base, 'methods']);
    const changed = compileMutators(this.#document, [...base, 'mutators'], entry.mutators ?? []);
    this.#findings.push(...changed.findings);
    const access = [...base, 'accessStrategies'];
    const { strategies, findings } = compileAccess(
      this.#document,
      access,
      entry.accessStrategies,
      this.#defaults.handlers,
    );
    this.#findings.push(...findings);
    const options = entry.scopegate ?? {};
    const compiled = compilePattern(entry.path, { undecided: options.undecidedPattern ?? 'refuse' });
    if (!compiled.ok) this.#error([...base, 'path'], compiled.code, compiled.message);
    if (!compiled.ok || this.#findings.length > before) return undefined;
    return {
      methods: entry.methods,
      path: entry.path,
      pattern: compiled.pattern,
      strategies,
      ...(changed.mutators === undefined ? {} : { mutators: changed.mutators }),
      allows: {
        encodedSlash: options.encodedSlash === 'keep',
        encodedPercent: options.encodedPercent === 'keep',
        semicolon: options.semicolon === 'keep',
        emptySegments: options.emptySegments === 'keep',
      },
    };
  }

  #error(path: Path, code: string, problem: string): void {
    const message = `${path.join('.')}: ${problem}`;
    this.#findings.push({ ...this.#document.at(path), level: 'error', code, message });
  }

  #cors({ corsPolicy }: Spec): CorsPolicy | undefined {
    if (corsPolicy === undefined || corsPolicy === null) return undefined;
    const { policy, findings } = compileCors(this.#document, ['spec', 'corsPolicy'], corsPolicy);
    this.#findings.push(...findings);
    return policy;
  }

  #methods(methods: readonly string[], base: Path): void {
    methods.forEach((method, index) => {
      const path = [...base, index];
      if (methods.indexOf(method) < index) this.#error(path, 'invalid-value', `${method} is listed twice`);
      else if (Object.hasOwn(REFUSED_METHODS, method)) {
        this.#error(path, 'invalid-method', `${method} is never forwarded: ${REFUSED_METHODS[method]}`);
      } else if (!METHODS.has(method)) {
        const hint = nearest(method, METHODS);
        const more =
          hint === undefined ? `; it must be one of ${[...METHODS].join(', ')}` : `; did you mean ${hint}?`;
        this.#error(path, 'invalid-method', `no method is called "${method}"${more}`);
      }
    });
  }

  /** Each rule's upstream; a service that has none is reported once, however many rules use it. */
  #upstreams(
    spec: Spec,
    namespace: string,
    entries: readonly (RuleEntry | undefined)[],
  ): (Upstream | undefined)[] {
    const shared =
      spec.service && this.#service(spec.service, spec.service.namespace ?? namespace, ['spec', 'service']);
    return entries.map((entry, index) => {
      const path: Path = ['spec', 'rules', index];
      if (entry?.service !== undefined) {
        // Kyma looks for the namespace in the rule's service, then in the spec's, then in the APIRule itself.
        const settled = entry.service.namespace ?? spec.service?.namespace ?? namespace;
        return this.#service(entry.service, settled, [...path, 'service']);
      }
      if (entry !== undefined && spec.service === undefined) {
        this.#error(path, 'missing-field', 'must have the field "service", for spec.service is absent');
      }
      return shared;
    });
  }

  #service({ name, port }: Service, namespace: string, path: Path): Upstream | undefined {
    const upstream = resolveService(this.#defaults.services, { name, namespace, port });
    if (typeof upstream !== 'string') return upstream;
    this.#error(path, 'unknown-service', upstream);
    return undefined;
  }
}
