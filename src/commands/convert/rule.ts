import { byPosition, type Finding, isError } from '../../document/finding.js';
import { validate } from '../../document/validate.js';
import { type Path, readDocuments, type SourceDocument } from '../../document/yaml.js';
import { RULE_METHODS } from '../../model/methods.js';
import type { HandlerEntry } from '../../rules/apirule/access-strategies.js';
import { compileApiRule, NO_GATEWAY } from '../../rules/apirule/apirule.js';
import { VERSION } from '../../rules/apirule/schema.js';
import { corsPolicyOf } from './cors.js';
import type { Strategy } from './glob.js';
import { accessStrategies, authorizers, errorHandlers, mutators } from './handlers.js';
import { OathkeeperConfig } from './oathkeeper.js';
import { type AccessRule, accessRuleSchema } from './schema.js';
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
  /** `metadata.namespace` of the APIRules. If undefined, they have none. */
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

/** Converts Oathkeeper's access rules to APIRules: one for each rule and host. */
export class Converter {
  /** The origins of services that are not at `http://{name}:{port}`, by name. */
  readonly services = new Map<string, string>();
  readonly #options: ConvertOptions;
  readonly #names = new Map<string, number>();

  constructor(options: ConvertOptions) {
    this.#options = options;
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
      metadata?: { name?: unknown };
    };
    if (kind !== 'Rule' || typeof spec !== 'object') return this.#rule(document, [], value, strategy);
    const name = metadata?.name;
    const rule = typeof name === 'string' ? { id: name, ...spec } : spec;
    return this.#rule(document, ['spec'], rule, strategy);
  }

  #rule(document: SourceDocument, base: Path, value: unknown, strategy: Strategy): Conversion {
    const violations = validate(document, accessRuleSchema, base, value);
    if (violations.length > 0) return { apiRules: [], findings: violations };
    const options = { ...this.#options, strategy };
    const attempt = new Attempt(document, base, value as AccessRule, options, this.services);
    const apiRules = attempt.apiRules((id) => this.#name(id));
    return { apiRules, findings: attempt.findings };
  }

  /** Makes a valid and unique resource name from a rule's id. */
  #name(id: string): string {
    const name =
      id
        .toLowerCase()
        .replace(/[^a-z0-9.-]+/g, '-')
        .slice(0, 240)
        .replace(/^[-.]+|[-.]+$/g, '') || 'rule';
    const count = (this.#names.get(name) ?? 0) + 1;
    this.#names.set(name, count);
    return count === 1 ? name : this.#name(`${name}-${count}`);
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
  readonly #services: Map<string, string>;

  constructor(
    document: SourceDocument,
    base: Path,
    rule: AccessRule,
    options: ConvertOptions,
    services: Map<string, string>,
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
    return made.every((each, index) => this.#loads(each, index === 0)) ? made : [];
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

  /** Oathkeeper ignores the case of methods; scopegate does not. */
  #methods(): string[] | undefined {
    const methods: string[] = [];
    (this.#rule.match.methods ?? []).forEach((method, index) => {
      const upper = method.toUpperCase();
      if (!RULE_METHODS.includes(upper))
        this.#lost(['match', 'methods', index], `scopegate does not serve the method ${method}`);
      else if (!methods.includes(upper)) methods.push(upper);
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

  #upstream(): RuleUpstream | undefined {
    try {
      const upstream = readUpstream(this.#rule.upstream ?? {});
      if (upstream === undefined) {
        this.#lost(
          ['upstream'],
          'the missing upstream.url: scopegate decides about these requests at /decisions, but at the proxy port they get 502',
        );
        return { service: NO_UPSTREAM, options: {} };
      }
      return this.#placed(upstream);
    } catch (error) {
      if (!(error instanceof UnreadableUpstream)) throw error;
      return this.#left(['upstream', error.field], error.message);
    }
  }

  /** Notes the origin of a service for the settings. */
  #placed(upstream: RuleUpstream): RuleUpstream | undefined {
    const { service, origin } = upstream;
    if (origin === undefined) return upstream;
    const known = this.#services.get(service.name);
    if (known !== undefined && known !== origin) {
      const why = `the settings have one origin for each service name, and another rule has ${known} for ${service.name}`;
      return this.#left(['upstream', 'url'], why);
    }
    this.#services.set(service.name, origin);
    if (!this.#config.isThere) {
      const entry = `${service.name}: ${origin}`;
      this.#lost(['upstream', 'url'], `the scheme https; put it into the settings: services: { ${entry} }`);
    }
    return upstream;
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
      if (/cannot be read: ENOENT$/.test(message)) {
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

/**
 * Renumbers references to capture groups: Oathkeeper counts the groups of the whole URL, an APIRule only
 * those of the path.
 *
 * @param groupsBefore the number of groups before the path
 */
function shiftedBy(groupsBefore: number): { walk(value: unknown): unknown; readonly before: boolean } {
  let before = false;
  const shift = (text: string): string =>
    text.replace(/(\.RegexpCaptureGroups\s+)(\d+)/g, (_whole, name: string, index: string) => {
      const counted = Number(index) - groupsBefore;
      if (counted < 0) before = true;
      return name + counted;
    });
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return shift(value);
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, walk(each)]));
  };
  return {
    walk,
    get before() {
      return before;
    },
  };
}
