import { ConfigError } from '../../document/finding.js';
import type { RetryLimits } from '../../model/authorization-server.js';
import { oathkeeperDurationSchema, oathkeeperDurationSeconds } from '../../model/duration.js';
import { type Denial, denial } from '../../model/errors.js';
import { decodeFieldValue, encodeFieldValue } from '../../model/field-encoding.js';
import { memberAt } from '../../model/json.js';
import { memorySize } from '../../model/memory-size.js';
import type { Mutator, MutatorServices, Session } from '../../model/mutator.js';
import type { Reply } from '../../model/outbound.js';
import type { StrategyWarning } from '../../model/strategy.js';
import { fieldValues } from '../../parse/fields.js';
import { TOKEN } from '../../parse/grammar.js';
import { type ClaimsTemplate, parseClaims, renderClaims } from '../mutators/claims.js';
import { REFUSED } from '../mutators/header.js';
import { type NamedTemplate, templates, unsendable } from '../mutators/header-templates.js';
import {
  parseTemplate,
  renderField,
  renderText,
  type Template,
  TemplateError,
} from '../mutators/template.js';
import { callAgain, readRetry, retrySchema } from '../retry.js';
import { type InstanceAnswers, ServiceAnswers } from '../service-answers.js';
import type { AuthorizerKind } from './authorizer.js';

/** The longest request body that an authorizer gets, in bytes. */
const MAX_BODY = 65_536;

const properties = {
  remote: {
    type: 'string',
    title: 'an http or https URL without credentials',
    pattern: '^https?://[^\\s#@]+$',
    description: 'URL of the authorizer: 200 allows the request, 403 denies it.',
  },
  headers: {
    type: 'object',
    propertyNames: { title: 'the name of a header field', pattern: TOKEN.source },
    additionalProperties: { type: 'string' },
    description: 'Header fields that scopegate sends to the authorizer: name → template.',
  },
  forward_response_headers_to_upstream: {
    type: 'array',
    items: { type: 'string', pattern: TOKEN.source },
    description: 'Header fields of the answer that the upstream gets.',
  },
  allow_from: {
    type: 'string',
    title: 'names separated by dots',
    pattern: '^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$',
    description:
      'Path to the value in the JSON of a 200 that must be true, such as `result` of Open Policy Agent.',
  },
  cache: {
    type: 'object',
    additionalProperties: false,
    required: ['ttl', 'key'],
    properties: {
      ttl: oathkeeperDurationSchema,
      key: { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } },
    },
    description:
      'Caches an answer for `ttl`. Requests for which the templates in `key` give the same values share it.',
  },
  retry: retrySchema,
} as const;

interface Config {
  readonly remote: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly payload?: string;
  readonly forward_response_headers_to_upstream?: readonly string[];
  readonly allow_from?: string;
  readonly cache?: { readonly ttl: string; readonly key: readonly string[] };
  readonly retry?: { readonly give_up_after?: string; readonly max_delay?: string };
}

/**
 * Oathkeeper's `remote_json`: scopegate asks a service and sends it JSON made from a template. 200 allows the
 * request and 403 denies it. Any other response is a failure of the service, never a verdict: the client gets
 * 503.
 */
export const remoteJson: AuthorizerKind = {
  name: 'remote_json',
  schema: {
    type: 'object',
    additionalProperties: false,
    required: ['remote', 'payload'],
    properties: {
      ...properties,
      payload: { type: 'string', description: 'A template of a JSON object, as `claims` of `id_token`.' },
    },
  },
  compile(config) {
    const settings = config as unknown as Config;
    const payload = attempt(['payload'], () => parseClaims(settings.payload ?? ''));
    return new Remote(settings, payload);
  },
  warnings: opaWarnings,
};

/**
 * Oathkeeper's `remote`: scopegate asks a service and sends it the request's own body. The responses mean the
 * same as for {@link remoteJson}.
 */
export const remote: AuthorizerKind = {
  name: 'remote',
  schema: { type: 'object', additionalProperties: false, required: ['remote'], properties },
  compile: (config) => new Remote(config as unknown as Config, undefined),
  warnings: opaWarnings,
};

/** Warns about a call to Open Policy Agent without `allow_from`: it answers 200 even if it denies. */
function opaWarnings(config: Readonly<Record<string, unknown>>): StrategyWarning[] {
  const { remote: url, allow_from: from } = config as unknown as Config;
  if (from !== undefined || !/^\/v1\/data(\/|$)/.test(new URL(url).pathname)) return [];
  const message =
    'Open Policy Agent answers 200 even if it denies, so scopegate would allow every request; set allow_from: result';
  return [{ path: ['remote'], code: 'authorizer-allows-all', message }];
}

function attempt<T>(path: (string | number)[], read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    throw new ConfigError(path, error.message);
  }
}

/** The answer of the service. */
interface Verdict {
  readonly allowed: boolean;
  /** Header fields for the upstream. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

const verdicts = new ServiceAnswers<Verdict>(({ fields }) => memorySize(fields));

class Remote implements Mutator {
  readonly headers: readonly string[];
  readonly cookies = [];
  readonly keys = [];
  readonly #url: string;
  /** Undefined if the service gets the request's own body. */
  readonly #payload: ClaimsTemplate | undefined;
  readonly #fields: readonly NamedTemplate[];
  readonly #allowFrom: readonly string[] | undefined;
  /** Undefined if verdicts are not cached. */
  readonly #verdicts: InstanceAnswers<Verdict> | undefined;
  readonly #key: readonly Template[];
  readonly #retry: RetryLimits | undefined;
  /** Calls in flight, by their cache key: requests with the same key share a call. */
  readonly #running = new Map<string, Promise<Verdict | Denial>>();

  constructor(config: Config, payload: ClaimsTemplate | undefined) {
    const { remote: url, forward_response_headers_to_upstream: forwarded = [], cache } = config;
    if (!URL.canParse(url)) throw new ConfigError(['remote'], `"${url}" is not a URL`);
    const own = forwarded.findIndex((name) => REFUSED.test(name.toLowerCase()));
    if (own >= 0) {
      throw new ConfigError(
        ['forward_response_headers_to_upstream', own],
        'scopegate sets this field itself; remove it',
      );
    }
    this.headers = forwarded;
    this.#url = url;
    this.#payload = payload;
    this.#fields = templates('headers', config.headers ?? {});
    for (const [name] of this.#fields) {
      if (REFUSED.test(name.toLowerCase())) {
        throw new ConfigError(['headers', name], 'scopegate sets this field of the call itself; remove it');
      }
    }
    this.#allowFrom = config.allow_from?.split('.');
    this.#verdicts = cache && verdicts.forInstance(oathkeeperDurationSeconds(cache.ttl));
    this.#key = (cache?.key ?? []).map((text, index) =>
      attempt(['cache', 'key', index], () => parseTemplate(text)),
    );
    if (
      cache !== undefined &&
      this.#key.every(({ parts }) => parts.every((part) => typeof part === 'string'))
    ) {
      throw new ConfigError(
        ['cache', 'key'],
        'it is the same for every request, so all users would share one answer; use at least {{ .Subject }}',
      );
    }
    this.#retry = readRetry(config.retry, ['retry']);
  }

  mutate(session: Session, services: MutatorServices): Denial | undefined | Promise<Denial | undefined> {
    const take = (verdict: Verdict | Denial): Denial | undefined => {
      if ('error' in verdict) return verdict;
      if (!verdict.allowed) return denial('access_denied', 'the authorizer denies the request');
      for (const [name, value] of verdict.fields) session.headers.set(name.toLowerCase(), [name, value]);
      return undefined;
    };
    const kept = this.#verdicts;
    if (kept === undefined) return this.#ask(session, services).then(take);
    const key = JSON.stringify(this.#key.map((template) => renderText(template, session)));
    const known = kept.get(key, services);
    if (known !== undefined) return take(known);
    let running = this.#running.get(key);
    if (running === undefined) {
      running = this.#ask(session, services)
        .then((verdict) => {
          if (!('error' in verdict)) kept.set(key, verdict, services);
          return verdict;
        })
        .finally(() => this.#running.delete(key));
      this.#running.set(key, running);
    }
    return running.then(take);
  }

  async #ask(session: Session, services: MutatorServices): Promise<Verdict | Denial> {
    const content = await this.#content(session);
    if ('error' in content) return content;
    const [authorization] = fieldValues(session.match.rawHeaders, 'authorization');
    const fields: [string, string][] = [];
    for (const [name, template] of this.#fields) {
      const value = encodeFieldValue(renderField(template, session), services.fieldEncoding ?? 'utf-8');
      if (value === undefined) return unsendable(`header field ${name} for the authorizer`);
      fields.push([name.toLowerCase(), value]);
    }
    const headers = {
      accept: 'application/json',
      ...(content.type === undefined ? {} : { 'content-type': content.type }),
      ...(authorization === undefined ? {} : { authorization }),
      ...Object.fromEntries(fields),
    };
    const call = { purpose: 'authorize', url: this.#url, method: 'POST', headers } as const;
    const reply = await callAgain(services, { ...call, body: content.body }, this.#retry);
    return this.#read(reply);
  }

  /** The body of the call to the service, or a denial if the request's body cannot be sent. */
  async #content({
    match,
    ...session
  }: Session): Promise<{ readonly body: string | Uint8Array; readonly type?: string | undefined } | Denial> {
    if (this.#payload !== undefined) {
      const claims = renderClaims(this.#payload, { ...session, match });
      return { body: JSON.stringify(claims), type: 'application/json' };
    }
    const { content } = match;
    const [type] = fieldValues(match.rawHeaders, 'content-type');
    if (content === undefined || content.length === 0) return { body: '', type };
    const { length } = content;
    if (length === undefined || length > MAX_BODY) {
      return denial(
        'body_too_large',
        `the authorizer needs the whole request body: send Content-Length, of at most ${MAX_BODY} bytes`,
      );
    }
    const body = await content.read(length);
    if (body === undefined) return denial('request_timeout', 'the request body did not arrive completely');
    return { body, type };
  }

  #read(reply: Reply): Verdict | Denial {
    const failed = (retryAfter: number, cause: string): Denial =>
      denial('authorizer_unavailable', 'the authorizer gave no usable answer', { retryAfter, cause });
    if (!reply.ok) return failed(reply.retryAfter, reply.cause);
    if (reply.status === 403) return { allowed: false, fields: [] };
    if (reply.status !== 200) return failed(1, 'unusable_answer');
    if (this.#allowFrom !== undefined) {
      const said = memberOf(reply.body, this.#allowFrom);
      if (said instanceof SyntaxError) return failed(1, 'unusable_answer');
      // Open Policy Agent omits a decision that is undefined.
      if (said !== true) return { allowed: false, fields: [] };
    }
    const fields = this.headers.map((name): [string, string] => {
      const value = reply.headers?.[name.toLowerCase()] ?? '';
      return [name, decodeFieldValue([value].flat().join(', '))];
    });
    return { allowed: true, fields };
  }
}

/**
 * Reads a member of a JSON text.
 *
 * @returns undefined if there is no such member; a SyntaxError if the text is not JSON
 */
function memberOf(text: string, path: readonly string[]): unknown {
  try {
    return memberAt(JSON.parse(text), path);
  } catch (error) {
    return error;
  }
}
