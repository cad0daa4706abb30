import { byPosition, type Finding } from '../../document/finding.js';
import { validate } from '../../document/validate.js';
import { type Path, readDocuments, type SourceDocument } from '../../document/yaml.js';
import { RULE_METHODS } from '../../model/methods.js';
import type { HandlerEntry } from '../../rules/apirule/access-strategies.js';
import { compileApiRule } from '../../rules/apirule/apirule.js';
import { VERSION } from '../../rules/apirule/schema.js';
import { type AccessRule, accessRuleSchema } from './schema.js';
import { type ApiRule, TRIAL } from './trial.js';
import { type MatchUrl, readMatchUrl, type Strategy, UnreadableUrl } from './url.js';

/** Options of the conversion. */
export interface ConvertOptions {
  readonly strategy: Strategy;
  /** `metadata.namespace` of the APIRules. If undefined, they have none. */
  readonly namespace?: string;
}

/** The result for one document: the APIRules, and a finding for everything that was not converted. */
export interface Conversion {
  readonly apiRules: readonly ApiRule[];
  readonly findings: readonly Finding[];
}

/** Error handlers of Oathkeeper that do what scopegate does anyway. */
const SAME_ERRORS: ReadonlySet<string> = new Set(['json']);

/** Converts Oathkeeper's access rules to APIRules: one for each rule and host. */
export class Converter {
  readonly #options: ConvertOptions;
  readonly #names = new Map<string, number>();

  constructor(options: ConvertOptions) {
    this.#options = options;
  }

  /**
   * Converts the rules of one document: a list, one rule, or the custom resource of Oathkeeper Maester.
   * Findings have positions in the document.
   */
  document(document: SourceDocument): Conversion {
    const { value } = document;
    const parts = Array.isArray(value)
      ? value.map((rule: unknown, index) => this.#rule(document, [index], rule))
      : [this.#single(document, value)];
    return {
      apiRules: parts.flatMap(({ apiRules }) => apiRules),
      findings: parts.flatMap(({ findings }) => findings).sort(byPosition),
    };
  }

  #single(document: SourceDocument, value: unknown): Conversion {
    const { kind, spec, metadata } = (value ?? {}) as {
      kind?: unknown;
      spec?: unknown;
      metadata?: { name?: unknown };
    };
    if (kind !== 'Rule' || typeof spec !== 'object') return this.#rule(document, [], value);
    const name = metadata?.name;
    return this.#rule(document, ['spec'], typeof name === 'string' ? { id: name, ...spec } : spec);
  }

  #rule(document: SourceDocument, base: Path, value: unknown): Conversion {
    const violations = validate(document, accessRuleSchema, base, value);
    if (violations.length > 0) return { apiRules: [], findings: violations };
    const attempt = new Attempt(document, base, value as AccessRule, this.#options);
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

  constructor(document: SourceDocument, base: Path, rule: AccessRule, options: ConvertOptions) {
    this.#document = document;
    this.#base = base;
    this.#rule = rule;
    this.#options = options;
  }

  /**
   * Converts the rule.
   *
   * @returns no APIRule if a part cannot be converted without which the rule would allow more requests or
   *   forward them elsewhere
   */
  apiRules(nameOf: (id: string) => string): ApiRule[] {
    const { id = 'rule', description, authenticators, errors } = this.#rule;
    if (this.#rule.match.full_method !== undefined) {
      this.#left(['match'], 'an APIRule cannot match gRPC methods (match.full_method)');
      return [];
    }
    const url = this.#url();
    const methods = this.#methods();
    const service = this.#service();
    const authorized = this.#authorizer();
    (errors ?? []).forEach(({ handler }, index) => {
      if (SAME_ERRORS.has(handler)) return;
      this.#lost(
        ['errors', index],
        `the error handler ${handler}: scopegate always responds with JSON and a challenge`,
      );
    });
    if (url === undefined || methods === undefined || service === undefined || !authorized) return [];
    const mutators = this.#mutators(url);
    if (mutators === undefined) return [];

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
          gateway: 'none/none',
          host,
          service,
          rules: [
            {
              path: url.path,
              methods,
              accessStrategies: authenticators.map(entryOf),
              ...(mutators.length === 0 ? {} : { mutators: mutators.map(entryOf) }),
            },
          ],
        },
      }),
    );
    return made.every((each) => this.#loads(each)) ? made : [];
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
      const read = readMatchUrl(url, this.#options.strategy);
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
  #authorizer(): boolean {
    const { handler } = this.#rule.authorizer;
    if (handler === 'allow') return true;
    this.#left(
      ['authorizer'],
      `APIRules have no authorizer ${handler}, and without it the rule would allow more requests`,
    );
    return false;
  }

  #service(): { name: string; port: number } | undefined {
    const { url, strip_path, preserve_host } = this.#rule.upstream ?? {};
    if (url === undefined || url === '')
      return this.#left(['upstream'], 'it has no upstream.url to forward to');
    if (!URL.canParse(url)) return this.#left(['upstream', 'url'], `"${url}" is not a URL`);
    const { protocol, hostname, port, pathname, search, username } = new URL(url);
    if (protocol !== 'http:' && protocol !== 'https:')
      return this.#left(['upstream', 'url'], 'it is not an http or https URL');
    if (pathname !== '/' || search !== '' || username !== '') {
      return this.#left(
        ['upstream', 'url'],
        'an upstream has a scheme, a host and a port; it cannot have a path, a query or credentials',
      );
    }
    if (strip_path !== undefined && strip_path !== null && strip_path.replaceAll('/', '') !== '') {
      return this.#left(
        ['upstream', 'strip_path'],
        'scopegate forwards the path unchanged and cannot strip a prefix',
      );
    }
    if (preserve_host === true) {
      this.#lost(
        ['upstream', 'preserve_host'],
        'set forward.host: preserve in the settings; it applies to all rules',
      );
    }
    const settled = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
    if (protocol === 'https:') {
      const entry = `${hostname}: https://{name}:{port}`;
      this.#lost(['upstream', 'url'], `the scheme https; put it into the settings: services: { ${entry} }`);
    }
    return { name: hostname, port: settled };
  }

  /**
   * The mutators. Oathkeeper counts capture groups over the whole URL, an APIRule over the path only, so
   * indices are shifted.
   *
   * @returns undefined if a mutator uses a group that stands before the path
   */
  #mutators({ groupsBefore }: MatchUrl): HandlerEntry[] | undefined {
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
    const mutators = (this.#rule.mutators ?? []).map((entry) => walk(entry) as HandlerEntry);
    if (before)
      return this.#left(
        ['mutators'],
        'it uses a capture group of the host or the scheme; an APIRule only has those of the path',
      );
    return mutators.filter(({ handler }) => handler !== 'noop');
  }

  /**
   * Whether scopegate can load the APIRule. If not, reports each reason at the part of the source that causes
   * it.
   */
  #loads(apiRule: ApiRule): boolean {
    const [document] = readDocuments(JSON.stringify(apiRule), '').documents;
    const errors = compileApiRule(document as SourceDocument, TRIAL).findings.filter(
      ({ level }) => level === 'error',
    );
    for (const { message } of errors) {
      const [, field, index] =
        /spec\.rules\.0\.(path|accessStrategies|mutators)(?:\.(\d+))?/.exec(message) ?? [];
      const reason = message.replace(/^spec\.rules\.0\.[A-Za-z]+(\.\d+)?[:.]? ?/, '');
      if (field === 'path') this.#left(['match', 'url'], reason);
      else if (field === 'accessStrategies') this.#left(['authenticators', ...numbered(index)], reason);
      else if (field === 'mutators') this.#left(['mutators', ...numbered(index)], reason);
      else this.#left([], message);
    }
    return errors.length === 0;
  }
}

function numbered(index: string | undefined): number[] {
  return index === undefined ? [] : [Number(index)];
}

function entryOf({ handler, config }: HandlerEntry): HandlerEntry {
  return config === undefined || config === null ? { handler } : { handler, config };
}
