import { byPosition, type Finding, isError } from '../../document/finding.js';
import { validate } from '../../document/validate.js';
import { type Path, readDocuments, type SourceDocument } from '../../document/yaml.js';
import { RULE_METHODS } from '../../model/methods.js';
import type { HandlerEntry } from '../../rules/apirule/access-strategies.js';
import { compileApiRule, NO_GATEWAY } from '../../rules/apirule/apirule.js';
import { VERSION } from '../../rules/apirule/schema.js';
import { corsPolicyOf } from './cors.js';
import type { Strategy } from './glob.js';
import { shiftedBy } from './groups.js';
import { accessStrategies, authorizers, errorHandlers, mutators, refusedBefore } from './handlers.js';
import { OathkeeperConfig, type Pipeline } from './oathkeeper.js';
import { ResourceNames } from './resource-names.js';
import { type AccessRule, accessRuleSchema } from './schema.js';
import { type PlacedService, ServiceNames } from './services.js';
import { type ApiRule, TRIAL } from './trial.js';
import {
  NO_UPSTREAM,
  type RuleUpstream,
  readUpstream,
  UnreadableUpstream,
  withinStripped,
} from './upstream.js';
import { type MatchUrl, readMatchUrl, UnreadableUrl } from './url.js';

/** Options of the conversion. */
export interface ConvertOptions {
  readonly strategy: Strategy;
  /** `metadata.namespace` of the APIRules. If undefined, they have that of the Rule resource, if there is one. */
  readonly namespace?: string;
  /** The hosts that replace expressions for any host. */
  readonly hosts?: readonly string[];
  /** Oathkeeper's own configuration. */
  readonly config?: OathkeeperConfig;
}

/** The result for one document: the APIRules, and a finding for everything that was not converted. */
export interface Conversion {
  readonly apiRules: readonly ApiRule[];
  readonly findings: readonly Finding[];
}

/** The name of a namespace of Kubernetes. */
export const NAMESPACE = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** Converts Oathkeeper's access rules to APIRules: one for each rule and host. */
export class Converter {
  readonly #services = new ServiceNames();
  /** The ids of rules, as Oathkeeper Maester makes them of resources, by where they were found. */
  readonly #ids = { resources: new Set<string>(), others: new Set<string>() };
  readonly #options: ConvertOptions;
  readonly #names = new ResourceNames();

  constructor(options: ConvertOptions) {
    this.#options = options;
  }

  /** The origins of services that are not at `http://{name}:{port}`, by name. */
  get services(): ReadonlyMap<string, string> {
    return this.#services.origins;
  }

  /** Keeps the names of an APIRule's services for it. Call it before any rule is converted. */
  reserve(apiRule: ApiRule): void {
    this.#services.reserve(apiRule);
  }

  /**
   * Converts the rules of one document: a list, one rule, or the custom resource of Oathkeeper Maester.
   * Findings have positions in the document.
   *
   * @param strategy how its URLs match, if that is not the same for all documents
   */
  document(document: SourceDocument, strategy: Strategy = this.#options.strategy): Conversion {
    const { value } = document;
    const parts = Array.isArray(value)
      ? value.map((rule: unknown, index) => this.#rule(document, [index], rule, strategy))
      : [this.#single(document, value, strategy)];
    return {
      apiRules: parts.flatMap(({ apiRules }) => apiRules),
      findings: parts.flatMap(({ findings }) => findings).sort(byPosition),
    };
  }

  #single(document: SourceDocument, value: unknown, strategy: Strategy): Conversion {
    const { kind, spec, metadata } = (value ?? {}) as {
      kind?: unknown;
      spec?: unknown;
      metadata?: { name?: unknown; namespace?: unknown };
    };
    if (kind !== 'Rule' || typeof spec !== 'object') return this.#rule(document, [], value, strategy);
    const { name, namespace } = metadata ?? {};
    const rule = typeof name === 'string' ? { id: name, ...spec } : spec;
    if (namespace === undefined) return this.#rule(document, ['spec'], rule, strategy);
    if (typeof namespace === 'string' && NAMESPACE.test(namespace))
      return this.#rule(document, ['spec'], rule, strategy, namespace);
    const message = 'metadata.namespace: the rule is left out: this is not a valid namespace name';
    const at = document.at(['metadata', 'namespace']);
    return { apiRules: [], findings: [{ ...at, level: 'error', code: 'rule-left-out', message }] };
  }

  #rule(
    document: SourceDocument,
    base: Path,
    value: unknown,
    strategy: Strategy,
    ofResource?: string,
  ): Conversion {
    const violations = validate(document, accessRuleSchema, base, value);
    if (violations.length > 0) return { apiRules: [], findings: violations };
    const { id } = value as AccessRule;
    if (id !== undefined && this.#isCopy(ofResource === undefined ? id : `${id}.${ofResource}`, ofResource)) {
      const why = `${id} stands in a Rule resource and in the ConfigMap that Oathkeeper Maester makes of it`;
      const message = `${base.join('.') || 'the rule'}: the rule is left out: ${why}. Give one of the two`;
      const finding = { ...document.at(base), level: 'error', code: 'rule-left-out', message } as const;
      return { apiRules: [], findings: [finding] };
    }
    const namespace = this.#options.namespace ?? ofResource;
    const options = { ...this.#options, strategy, ...(namespace === undefined ? {} : { namespace }) };
    const attempt = new Attempt(document, base, value as AccessRule, options, this.#services);
    const apiRules = attempt.apiRules((id) => this.#names.next(id, namespace));
    return { apiRules, findings: attempt.findings };
  }

  /** Whether a rule was found before in its other form: as a resource, or in a list. */
  #isCopy(id: string, ofResource: string | undefined): boolean {
    const { resources, others } = this.#ids;
    const [own, other] = ofResource === undefined ? [others, resources] : [resources, others];
    own.add(id);
    return other.has(id);
  }
}

/** The conversion of one rule. */
class Attempt {
  readonly findings: Finding[] = [];
  readonly #document: SourceDocument;
  readonly #base: Path;
  readonly #rule: AccessRule;
  readonly #options: ConvertOptions;
  readonly #config: OathkeeperConfig;
  readonly #services: ServiceNames;

  constructor(
    document: SourceDocument,
    base: Path,
    rule: AccessRule,
    options: ConvertOptions,
    services: ServiceNames,
  ) {
    this.#document = document;
    this.#base = base;
    this.#rule = rule;
    this.#options = options;
    this.#config = options.config ?? new OathkeeperConfig();
    this.#services = services;
  }

  /**
   * Converts the rule.
   *
   * @returns no APIRule if a part cannot be converted without which the rule would allow more requests or
   *   forward them elsewhere
   */
  apiRules(nameOf: (id: string) => string): ApiRule[] {
    const { id = 'rule', description } = this.#rule;
    if (this.#rule.match.full_method !== undefined) {
      this.#left(['match'], 'an APIRule cannot match gRPC methods (match.full_method)');
      return [];
    }
    if (this.#hasDisabled()) return [];
    const url = this.#url();
    const methods = this.#methods();
    const upstream = this.#upstream();
    const shift = shiftedBy(url?.groupsBefore ?? 0);
    const authorizing = this.#authorizers(shift.walk);
    if (url === undefined || methods === undefined || upstream === undefined || authorizing === undefined)
      return [];
    const lost = (path: Path, what: string): void => this.#lost(path, what);
    const errors = errorHandlers(this.#rule.errors, this.#config, lost);
    const strategies = accessStrategies(this.#rule.authenticators, this.#config, lost);
    const mutating = mutators(this.#rule.mutators ?? [], this.#config, shift.walk);
    if (shift.before) {
      this.#left(
        ['mutators'],
        'it uses a capture group of the host or the scheme; an APIRule only has those of the path',
      );
      return [];
    }
    const { service, options } = upstream;
    const scopegate = {
      ...options,
      ...(authorizing.length === 0 ? {} : { authorizers: authorizing }),
      ...(errors.length === 0 ? {} : { errors }),
    };
    const path = options.stripPath === undefined ? url.path : withinStripped(url.path, options.stripPath);
    const cors = corsPolicyOf(this.#config);
    const made = url.hosts.map(
      (host): ApiRule => ({
        apiVersion: VERSION,
        kind: 'APIRule',
        metadata: {
          name: nameOf(id),
          ...(this.#options.namespace === undefined ? {} : { namespace: this.#options.namespace }),
          ...(description === undefined ? {} : { annotations: { description } }),
        },
        spec: {
          gateway: NO_GATEWAY,
          host,
          service,
          ...(cors === undefined ? {} : { corsPolicy: cors }),
          rules: [
            {
              path,
              methods,
              accessStrategies: strategies,
              ...(mutating.length === 0 ? {} : { mutators: mutating }),
              ...(Object.keys(scopegate).length === 0 ? {} : { scopegate }),
            },
          ],
        },
      }),
    );
    if (!made.every((each, index) => this.#loads(each, index === 0))) return [];
    const refused = refusedBefore(this.#rule.mutators, this.#base.at(-1) === 'spec');
    if (refused !== undefined) this.#report('warning', ['mutators'], 'refused-before', refused);
    return made;
  }

  #report(level: Finding['level'], path: Path, code: string, problem: string): void {
    const whole = [...this.#base, ...path];
    const message = `${whole.join('.') || 'the rule'}: ${problem}`;
    this.findings.push({ ...this.#document.at(whole), level, code, message });
  }

  /** Reports a part that the APIRule omits. */
  #lost(path: Path, what: string): void {
    this.#report('warning', path, 'not-carried-over', `not carried over: ${what}`);
  }

  /** Reports a part without which the rule is not converted. */
  #left(path: Path, why: string): undefined {
    this.#report('error', path, 'rule-left-out', `the rule is left out: ${why}`);
    return undefined;
  }

  /** Oathkeeper refuses a rule with a handler that its configuration does not enable. Nothing enables itself. */
  #hasDisabled(): boolean {
    const { authenticators, authorizer, mutators: mutating, errors } = this.#rule;
    const used: [Pipeline, Path, string][] = [['authorizers', ['authorizer'], authorizer.handler]];
    for (const [pipeline, list] of [
      ['authenticators', authenticators],
      ['mutators', mutating],
      ['errors', errors],
    ] as const) {
      (list ?? []).forEach(({ handler }, index) => {
        used.push([pipeline, [pipeline, index], handler]);
      });
    }
    const disabled = used.filter(([pipeline, , handler]) => !this.#config.isEnabled(pipeline, handler));
    for (const [pipeline, path, handler] of disabled) {
      const place = `${pipeline}.${pipeline === 'errors' ? 'handlers.' : ''}${handler}.enabled`;
      const why = `Oathkeeper refuses it, because the configuration does not have ${place}: true`;
      this.#left(
        path,
        `${why}. If an environment variable enabled ${handler}, write that into the configuration`,
      );
    }
    return disabled.length > 0;
  }

  #url(): MatchUrl | undefined {
    const { url } = this.#rule.match;
    if (url === undefined) return this.#left(['match'], 'match.url is missing');
    try {
      const read = readMatchUrl(url, this.#options.strategy, this.#options.hosts);
      for (const what of read.lost) this.#lost(['match', 'url'], what);
      return read;
    } catch (error) {
      if (!(error instanceof UnreadableUrl)) throw error;
      return this.#left(['match', 'url'], error.message);
    }
  }

  /** Methods are case-sensitive, also in Oathkeeper: there, `get` matched no request with GET. */
  #methods(): string[] | undefined {
    const methods: string[] = [];
    (this.#rule.match.methods ?? []).forEach((method, index) => {
      const upper = method.toUpperCase();
      const at = ['match', 'methods', index];
      if (!RULE_METHODS.includes(upper)) this.#lost(at, `scopegate does not serve the method ${method}`);
      else if (upper !== method)
        this.#lost(
          at,
          `the method ${method}, which matched no request with ${upper}; write ${upper} if you mean it`,
        );
      else if (!methods.includes(method)) methods.push(method);
    });
    return methods.length > 0 ? methods : this.#left(['match'], 'it has no method that scopegate serves');
  }

  /** Without its authorizer, the rule would allow requests that the authorizer refuses. */
  #authorizers(shift: (value: unknown) => unknown): HandlerEntry[] | undefined {
    const { authorizer } = this.#rule;
    const entries = authorizers(authorizer, this.#config, shift);
    if (entries !== undefined) return entries;
    const why = 'which scopegate does not have; without it the rule would allow more requests';
    return this.#left(['authorizer'], `it has the authorizer ${authorizer.handler}, ${why}`);
  }

  #upstream(): (Pick<PlacedService, 'service'> & Pick<RuleUpstream, 'options'>) | undefined {
    try {
      const upstream = readUpstream(this.#rule.upstream ?? {});
      if (upstream === undefined) {
        this.#lost(
          ['upstream'],
          'the missing upstream.url: scopegate decides about these requests at /decisions, but at the proxy port they get 502',
        );
        return { service: this.#placed(NO_UPSTREAM), options: {} };
      }
      return { service: this.#placed(upstream.address), options: upstream.options };
    } catch (error) {
      if (!(error instanceof UnreadableUpstream)) throw error;
      return this.#left(['upstream', error.field], error.message);
    }
  }

  /** Names the service, and notes its origin for the settings. */
  #placed(address: RuleUpstream['address']): PlacedService['service'] {
    const { service, origin } = this.#services.place(address, this.#options.namespace ?? 'default');
    if (origin !== undefined && !this.#config.isThere) {
      const entry = `${service.name}: ${origin}`;
      this.#lost(['upstream', 'url'], `where it is; put it into the settings: services: { ${entry} }`);
    }
    return service;
  }

  /**
   * Whether scopegate can load the APIRule. If not, reports each reason at the part of the source that causes
   * it.
   *
   * @param told whether to report problems with which the APIRule is printed anyway
   */
  #loads(apiRule: ApiRule, told: boolean): boolean {
    const [document] = readDocuments(JSON.stringify(apiRule), '').documents;
    const errors = compileApiRule(document as SourceDocument, TRIAL).findings.filter(isError);
    let printed = true;
    for (const { message } of errors) {
      const [, field, index] =
        /spec\.rules\.0\.(path|accessStrategies|mutators|scopegate\.[a-zA-Z]+)(?:\.(\d+))?/.exec(message) ??
        [];
      const reason = message.replace(/^spec\.rules\.0\.[A-Za-z]+(\.\d+)?[:.]? ?/, '');
      const path = placeOf(field, index);
      // The file of a key is on the machine where scopegate will run, not where the rules are converted.
      if (/the key file does not exist$/.test(message)) {
        if (told) this.#report('warning', path, 'missing-file', reason);
        continue;
      }
      printed = false;
      this.#left(path, field === undefined ? message : reason);
    }
    return printed;
  }
}

/** The path in the source from which a field of the APIRule was made. */
function placeOf(field: string | undefined, index: string | undefined): Path {
  const numbered = index === undefined ? [] : [Number(index)];
  switch (field) {
    case 'path':
      return ['match', 'url'];
    case 'accessStrategies':
      return ['authenticators', ...numbered];
    case 'mutators':
      return ['mutators', ...numbered];
    case 'scopegate.authorizers':
      return ['authorizer'];
    case 'scopegate.errors':
      return ['errors', ...numbered];
    case 'scopegate.stripPath':
      return ['upstream', 'strip_path'];
    case 'scopegate.upstreamPath':
      return ['upstream', 'url'];
    default:
      return [];
  }
}
