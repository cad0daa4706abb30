import type { ExternalAuthorizerSettings } from '../../auth/authorizers/external.js';
import { chain } from '../../auth/mutators/chain.js';
import type { HandlerDefaults } from '../../auth/strategies/strategy.js';
import { byPosition, type Finding, isError, MAX_FINDINGS } from '../../document/finding.js';
import { validate } from '../../document/validate.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import { oathkeeperDurationSeconds } from '../../model/duration.js';
import type { CorsPolicy, Rule } from '../../model/rule.js';
import type { Upstream } from '../../model/upstream.js';
import type { LoadBudget } from '../budget.js';
import { compilePattern } from '../pattern/pattern.js';
import { atOnce } from '../slices.js';
import { compileAccess } from './access-strategies.js';
import { compileCors, NO_CORS } from './cors.js';
import { compileExtAuth } from './ext-auth.js';
import { globHint, withoutRules } from './hints.js';
import { readRuleHost } from './host.js';
import { kymaExclusions } from './kyma-differences.js';
import { kymaHidden } from './kyma-routing.js';
import { methodProblems } from './methods.js';
import { compileMutators, type IdTokenDefaults, withIdTokenDefaults, withoutOwnHost } from './mutators.js';
import { compileOptions, type OptionParts, stripFindings } from './options.js';
import { resolveService, type ServiceTemplates, serviceHosts } from './service.js';
import { findUnexpanded } from './unexpanded.js';
import { EARLIER_VERSION, v1alpha1 } from './v1alpha1.js';
import { v1beta1 } from './v1beta1.js';
import { LATER_VERSIONS, v2 } from './v2.js';
import type { ApiRuleVersion, RuleEntry, Service, Spec } from './version.js';

/** Settings of the gateway that complete an APIRule. */
export interface RuleDefaults {
  /** The addresses of services. */
  readonly services: ServiceTemplates;
  /** The domain that is appended to hosts without a dot. */
  readonly domain?: string;
  /** Templates with `{name}` and `{namespace}`: names of a rule's service that are hosts of the rule too. */
  readonly serviceHosts?: readonly string[];
  /** The upstream timeout in milliseconds if neither the rule nor the APIRule sets one. */
  readonly timeout: number;
  readonly handlers: HandlerDefaults;
  readonly idToken?: IdTokenDefaults;
  /** The external authorizers that rules of v2 may name. */
  readonly extAuthorizers?: readonly ExternalAuthorizerSettings[];
  /** False if no verified client certificate can reach the gateway. */
  readonly clientCertificates?: boolean;
  /** Whether decisions are enforced if a rule does not say it; undefined means `enforce`. */
  readonly enforcement?: 'enforce' | 'observe';
  /** Limits the analysis, and is told which rule is compiled next. */
  readonly budget?: LoadBudget;
  /** Whether another thread has already accepted the rules. Checks that it has made are then skipped. */
  readonly areAccepted?: true;
}

/** The `spec.gateway` of APIRules that were never in a cluster, such as those that `convert` makes. */
export const NO_GATEWAY = 'none/none';

/** The rules that compiled, and all findings about the document and its rules. */
export interface CompiledApiRule {
  readonly rules: Rule[];
  readonly findings: Finding[];
}

/**
 * The largest rule, in characters of JSON. It also limits the part of an APIRule outside its rules. A rule is
 * compiled in one step, and requests wait during a step.
 */
const MAX_RULE = 65_536;
/** If more unexpanded variables are found, no other findings are reported. */
const MAX_CAUSES = 100;

/**
 * Turns one APIRule document, of v1beta1 or another supported version, into compiled rules.
 *
 * @throws LoadLimitExceeded if `budget` is used up
 */
export function compileApiRule(document: SourceDocument, defaults: RuleDefaults): CompiledApiRule {
  return atOnce(compileApiRuleInSteps(document, defaults));
}

/** Does the same as {@link compileApiRule}, one rule per step. */
export function* compileApiRuleInSteps(
  document: SourceDocument,
  defaults: RuleDefaults,
): Generator<void, CompiledApiRule> {
  // Rules that are accepted already were checked for unexpanded variables.
  const unexpanded = defaults.areAccepted === true ? [] : findUnexpanded(document);
  // If the document is a template, its other errors do not help the author.
  if (unexpanded[0]?.finding.code === 'unrendered-template') {
    return { rules: [], findings: [unexpanded[0].finding] };
  }
  const compiled = yield* compile(document, defaults);
  if (unexpanded.length === 0) return compiled;
  const causes = unexpanded.map(({ finding }) => finding);
  if (causes.length > MAX_CAUSES) return { rules: [], findings: causes };
  // In an annotation all positions are equal, so they cannot tell findings apart.
  const distinct = byPosition(document.at(['spec']), document.at(['spec', 'rules'])) !== 0;
  const own = compiled.findings.filter(
    (finding) =>
      !unexpanded.some(
        ({ path, finding: cause }) =>
          finding.message.startsWith(path.join('.')) || (distinct && byPosition(finding, cause) === 0),
      ),
  );
  return { rules: [], findings: [...causes, ...own] };
}

function* compile(document: SourceDocument, defaults: RuleDefaults): Generator<void, CompiledApiRule> {
  const { apiVersion, spec } = document.value as { apiVersion?: unknown; spec?: unknown };
  const later = LATER_VERSIONS.includes(apiVersion as string);
  const dialect = later ? v2 : apiVersion === EARLIER_VERSION ? v1alpha1 : v1beta1;
  const outer = validate(document, dialect.documentSchema);
  // If there is no spec, the document's schema has already reported it.
  const inner = spec === undefined ? [] : validate(document, dialect.specSchema, ['spec'], spec);
  const findings = [...outer, ...(later ? inner.map(withoutRules) : inner)];
  const list = (spec as { rules?: unknown } | undefined | null)?.rules;
  if (!Array.isArray(list)) return { rules: [], findings };

  const compiler = new Compiler(document, dialect, defaults, findings, list.length);
  const entries: (RuleEntry | undefined)[] = [];
  let broken = 0;
  for (const [index, value] of list.entries()) {
    const entry = compiler.entry(value, index);
    entries.push(entry);
    if (entry === undefined && ++broken === MAX_FINDINGS) return { rules: [], findings };
    yield;
  }
  if (outer.length + inner.length > 0 || compiler.isTooLarge({ ...(spec as object), rules: [] }, ['spec'])) {
    for (const [index, entry] of entries.entries()) if (entry !== undefined) compiler.parts(entry, index);
    return { rules: [], findings };
  }
  const { metadata } = document.value as { metadata: Metadata };
  const rules = yield* compiler.rules(metadata, dialect.spec(spec), entries);
  if (defaults.areAccepted !== true) {
    findings.push(...(later ? kymaExclusions : kymaHidden)(rules, defaults.budget));
  }
  return { rules, findings };
}

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
}

/** The parts of a rule that do not depend on the rest of the APIRule. */
type Parts = Pick<Rule, 'methods' | 'path' | 'pattern' | 'strategies' | 'mutators'> & OptionParts;

/** The upstream of a rule's service, and the additional hosts that requests may use for it. */
interface ResolvedService {
  readonly upstream: Upstream;
  readonly hosts: readonly string[];
}

class Compiler {
  readonly #document: SourceDocument;
  /** The document that finds the positions for paths in the form of v1beta1. */
  readonly #places: SourceDocument;
  readonly #dialect: ApiRuleVersion;
  readonly #defaults: RuleDefaults;
  readonly #findings: Finding[];
  /** The number of rules in the APIRule. */
  readonly #length: number;

  constructor(
    document: SourceDocument,
    dialect: ApiRuleVersion,
    defaults: RuleDefaults,
    findings: Finding[],
    length: number,
  ) {
    this.#length = length;
    this.#document = document;
    this.#places = dialect.places(document);
    this.#dialect = dialect;
    this.#defaults = defaults;
    this.#findings = findings;
  }

  /** Reads one element of `spec.rules`. If it is invalid, adds findings and returns undefined. */
  entry(value: unknown, index: number): RuleEntry | undefined {
    const at: Path = ['spec', 'rules', index];
    const violations = validate(this.#document, this.#dialect.ruleSchema, at, value);
    this.#findings.push(...violations);
    if (violations.length === 0 && this.isTooLarge(value, at)) return undefined;
    return violations.length > 0 ? undefined : this.#dialect.entry(value, at, this.#document, this.#findings);
  }

  /** Whether a part of the document is larger than a rule may be; if so, adds a finding. */
  isTooLarge(value: unknown, path: Path): boolean {
    const { length } = JSON.stringify(value);
    if (length <= MAX_RULE) return false;
    const what = path.length === 1 ? 'the spec without its rules has' : 'a rule has';
    this.#error(
      path,
      'rule-too-large',
      `${what} at most ${MAX_RULE} characters as JSON; this one has ${length}`,
    );
    return true;
  }

  *rules(
    metadata: Metadata,
    spec: Spec,
    entries: readonly (RuleEntry | undefined)[],
  ): Generator<void, Rule[]> {
    const namespace = metadata.namespace ?? 'default';
    const cors = this.#cors(spec);
    const hosts = this.#hosts(spec);
    const services = this.#services(spec, namespace, entries);

    const rules: Rule[] = [];
    for (const [index, entry] of entries.entries()) {
      yield;
      if (entry === undefined) continue;
      const parts = this.parts(entry, index, hosts);
      const service = services[index];
      if (parts === undefined || service === undefined || hosts.length < spec.hosts.length) continue;
      const seconds = entry.timeout ?? spec.timeout;
      const { file, line, col } = this.#document.at(['spec', 'rules', index]);
      rules.push({
        id: `${namespace}/${metadata.name}#${index}`,
        source: `${file}:${line}:${col}`,
        hosts: [...new Set([...hosts, ...service.hosts])],
        ...parts,
        upstream: service.upstream,
        ...(cors === undefined ? {} : { cors }),
        timeout: seconds === undefined ? this.#defaults.timeout : seconds * 1000,
      });
    }
    return rules;
  }

  /** @param hosts the hosts of the APIRule; undefined if they are not known */
  parts(entry: RuleEntry, index: number, hosts?: readonly string[]): Parts | undefined {
    const base: Path = ['spec', 'rules', index];
    const before = this.#findings.length;
    const { budget } = this.#defaults;
    budget?.begin({
      what: 'compiling rules',
      done: index + 1,
      of: this.#length,
      name: entry.shown ?? entry.path,
      at: this.#document.at(base),
    });
    for (const { index: at, code, problem } of methodProblems(entry.methods))
      this.#error([...base, 'methods', at], code, problem);
    const mutators = [...base, 'mutators'];
    const { entries, removed } = withoutOwnHost(entry.mutators ?? [], hosts);
    if (hosts !== undefined) for (const path of removed) this.#ownHost([...mutators, ...path]);
    const changed = compileMutators(
      this.#places,
      mutators,
      withIdTokenDefaults(entries, this.#defaults.idToken),
      this.#defaults.clientCertificates !== false,
    );
    const options = entry.scopegate ?? {};
    const configured = compileOptions(
      this.#document,
      base,
      options,
      entry.accessStrategies,
      this.#defaults.enforcement ?? 'enforce',
    );
    const asked = entry.extAuth ?? [];
    const external = compileExtAuth(this.#document, base, asked, this.#defaults.extAuthorizers ?? []);
    this.#findings.push(...external.findings, ...configured.findings);
    this.#found(changed.findings);
    const { staleIfError } = options;
    const access = [...base, 'accessStrategies'];
    const { strategies, findings } = compileAccess(
      this.#places,
      access,
      entry.accessStrategies,
      staleIfError === undefined
        ? this.#defaults.handlers
        : { ...this.#defaults.handlers, staleIfError: oathkeeperDurationSeconds(staleIfError) * 1000 },
      budget,
    );
    this.#found(findings);
    const compiled = compilePattern(entry.path, { undecided: options.undecidedPattern ?? 'refuse' }, budget);
    if (!compiled.ok) this.#error([...base, 'path'], compiled.code, compiled.message + globHint(entry.path));
    else if (this.#defaults.areAccepted !== true)
      this.#findings.push(...stripFindings(this.#document, base, compiled.pattern, configured, budget));
    const failed = this.#findings.slice(before).some(isError);
    if (!compiled.ok || failed) return undefined;
    const all = chain([...external.authorizers, ...configured.authorizers, ...changed.mutators]);
    return {
      methods: entry.methods,
      path: entry.shown ?? entry.path,
      pattern: compiled.pattern,
      strategies,
      ...(all === undefined ? {} : { mutators: all }),
      ...configured.parts,
      ...(asked.length === 0 ? {} : { authorizers: [...asked, ...(configured.parts.authorizers ?? [])] }),
    };
  }

  #ownHost(path: Path): void {
    const message = `${path.join('.')}: scopegate sends the host in X-Forwarded-Host anyway; remove the field`;
    const code = 'needless-header';
    this.#found([{ ...this.#places.at(path), level: 'warning', code, message }]);
  }

  #error(path: Path, code: string, problem: string): void {
    const message = `${path.join('.')}: ${problem}`;
    this.#findings.push({ ...this.#document.at(path), level: 'error', code, message });
  }

  #found(findings: readonly Finding[]): void {
    for (const finding of findings) {
      this.#findings.push({ ...finding, message: this.#dialect.words(finding.message, this.#document) });
    }
  }

  #hosts({ hosts }: Spec): string[] {
    const found: string[] = [];
    for (const { text, path } of hosts) {
      const host = readRuleHost(text, this.#defaults.domain);
      if ('host' in host && !/[.*]/.test(host.host) && host.host !== 'localhost' && !this.#isFromOathkeeper)
        this.#shortHost(path, host.host);
      if ('problem' in host) this.#error(path, 'invalid-value', host.problem);
      else if (found.includes(host.host)) this.#error(path, 'invalid-value', `${host.host} is listed twice`);
      else found.push(host.host);
    }
    return found;
  }

  /** Whether `convert` made the APIRule from a rule of Oathkeeper, which appends no domain to hosts. */
  get #isFromOathkeeper(): boolean {
    const { spec } = this.#document.value as { spec?: { gateway?: unknown } | null };
    return spec?.gateway === NO_GATEWAY;
  }

  /** Warns of a host without a dot. Kyma appended the cluster's domain, so no client used such a host. */
  #shortHost(path: Path, host: string): void {
    const message =
      `${path.join('.')}: the host ${host} has no dot and the setting domain is not set, so the rule only matches requests for ` +
      `http://${host}/. Kyma appended the domain of the cluster: set domain, or write the full host name`;
    this.#findings.push({ ...this.#document.at(path), level: 'warning', code: 'short-host', message });
  }

  #cors({ corsPolicy }: Spec): CorsPolicy | undefined {
    if (corsPolicy === undefined || corsPolicy === null)
      return this.#dialect.removesCors ? NO_CORS : undefined;
    const { policy, findings } = compileCors(
      this.#document,
      ['spec', 'corsPolicy'],
      corsPolicy,
      this.#defaults.budget,
    );
    this.#findings.push(...findings);
    return policy;
  }

  /** The service of each rule. A service without an upstream is reported once, even if many rules use it. */
  #services(
    spec: Spec,
    namespace: string,
    entries: readonly (RuleEntry | undefined)[],
  ): (ResolvedService | undefined)[] {
    const shared =
      spec.service && this.#service(spec.service, spec.service.namespace ?? namespace, ['spec', 'service']);
    return entries.map((entry, index) => {
      const path: Path = ['spec', 'rules', index];
      if (entry?.service !== undefined) {
        // Kyma takes the namespace of the rule's service, else of the spec's service, else of the APIRule.
        const settled = entry.service.namespace ?? spec.service?.namespace ?? namespace;
        return this.#service(entry.service, settled, [...path, 'service']);
      }
      if (entry !== undefined && spec.service === undefined) {
        this.#error(path, 'missing-field', 'must have the field "service", because spec.service is missing');
      }
      return shared;
    });
  }

  #service({ name, port }: Service, namespace: string, path: Path): ResolvedService | undefined {
    const service = { name, namespace, port };
    const upstream = resolveService(this.#defaults.services, service);
    if (typeof upstream !== 'string')
      return { upstream, hosts: serviceHosts(this.#defaults.serviceHosts ?? [], service) };
    this.#error(path, 'unknown-service', upstream);
    return undefined;
  }
}
