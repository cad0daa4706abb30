import { type Denial, denial } from '../../model/errors.js';
import { decodeFieldValue } from '../../model/field-encoding.js';
import type { Mutator, MutatorServices, Session } from '../../model/mutator.js';
import type { Reply } from '../../model/outbound.js';
import { fieldKey } from '../../parse/field-names.js';
import { fieldValues } from '../../parse/fields.js';

/** An HTTP external authorizer, as Istio's `envoyExtAuthzHttp` describes one. Lists hold names in lower case. */
export interface ExternalAuthorizerSettings {
  /** The name that APIRules use: that of Istio's extension provider. */
  readonly name: string;
  /** An http or https URL. scopegate appends the path of the request to its path. */
  readonly url: string;
  /** Milliseconds for one call. */
  readonly timeout: number;
  /** Names of the request's fields that the call carries; `x-*` and `*-x` are prefixes and suffixes. */
  readonly includeRequestHeadersInCheck: readonly string[];
  /** Fields that the call carries, by name. */
  readonly includeAdditionalHeadersInCheck: Readonly<Record<string, string>>;
  /** Names of the answer's fields that the upstream gets if the request is allowed. */
  readonly headersToUpstreamOnAllow: readonly string[];
  /** Names of the answer's fields that the client gets if the request is denied; empty: all of them. */
  readonly headersToDownstreamOnDeny: readonly string[];
}

/**
 * Fields that describe the request to the authorizer, by {@link fieldKey}. The client's copies are removed: they
 * could describe another request.
 */
const DESCRIBING =
  /^(x-forwarded(-.*)?|forwarded|x-real-ip|x-original-.*|x-envoy-.*|x-rewrite-.*|x-http-method.*|x-method-override)$/;
/** Fields that belong to the call's connection or frame its message, by {@link fieldKey}. */
const OF_THE_CALL =
  /^(host|connection|content-length|expect|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/;
/** Fields of an answer that are about its body as it came, or that scopegate sets itself. */
const OF_THE_ANSWER = /^(content-length|content-encoding|date|proxy-.*|access-control-.*)$/;
/** Fields that the client gets in any case, as with Envoy. */
const ALWAYS = ['location', 'www-authenticate', 'content-type'];
/** The characters of a field value (RFC 9110 §5.5). */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * An external authorizer over HTTP, as Envoy's filter `ext_authz` asks one: with the method, the path and the query
 * of the request, and without its body. 200 allows the request. Any other answer below 500 is the client's
 * response. A failure of the service is 503, where Envoy's default is 403: a client must be able to tell the two.
 */
export class ExternalAuthorizer implements Mutator {
  readonly headers: readonly string[];
  readonly cookies = [];
  readonly keys = [];
  readonly #settings: ExternalAuthorizerSettings;
  readonly #origin: string;
  readonly #prefix: string;
  readonly #asked: (name: string) => boolean;
  readonly #told: (name: string) => boolean;

  constructor(settings: ExternalAuthorizerSettings) {
    const { origin, pathname } = new URL(settings.url);
    this.headers = settings.headersToUpstreamOnAllow;
    this.#settings = settings;
    this.#origin = origin;
    this.#prefix = pathname.replace(/\/$/, '');
    const included = matcher([...settings.includeRequestHeadersInCheck, 'authorization']);
    this.#asked = (name) => {
      const key = fieldKey(name);
      // An authorizer may read `X-Forwarded_Uri` as the field with hyphens, and so a field with underscores as
      // one that the settings name.
      return included(name) && !name.includes('_') && !DESCRIBING.test(key) && !OF_THE_CALL.test(key);
    };
    const { headersToDownstreamOnDeny: listed } = settings;
    const told = listed.length === 0 ? () => true : matcher([...listed, ...ALWAYS]);
    this.#told = (name) => told(name) && !OF_THE_ANSWER.test(name);
  }

  async mutate(session: Session, { call }: MutatorServices): Promise<Denial | undefined> {
    const { method, path, query, host } = session.match;
    const secure = this.#origin.startsWith('https:');
    const reply = await call({
      purpose: 'authorize',
      url: this.#origin + this.#prefix + path + query,
      method,
      headers: {
        ...this.#fieldsOf(session),
        // Over TLS the name in Host would also have to be that of the certificate.
        ...(secure ? {} : { host }),
        'x-forwarded-host': host,
        ...this.#settings.includeAdditionalHeadersInCheck,
      },
      timeout: this.#settings.timeout,
      takesRedirects: true,
    });
    if (!reply.ok) return unavailable(reply.retryAfter, reply.cause);
    if (reply.status !== 200) return this.#denied(reply);
    for (const name of this.headers) {
      const value = reply.headers?.[name];
      if (value !== undefined) session.headers.set(name, [name, decodeFieldValue(joined(name, value))]);
    }
    return undefined;
  }

  #fieldsOf({ match }: Session): Record<string, string> {
    const fields: Record<string, string> = {};
    const { rawHeaders } = match;
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const name = (rawHeaders[i] as string).toLowerCase();
      if (fields[name] === undefined && this.#asked(name)) {
        fields[name] = joined(name, fieldValues(match.rawHeaders, name));
      }
    }
    return fields;
  }

  #denied({ status, body, headers = {} }: Extract<Reply, { ok: true }>): Denial {
    const refused = denial(
      'access_denied',
      `the external authorizer ${this.#settings.name} denies the request`,
    );
    // The client must be able to see a denial, so a status that is not an error is replaced by the response
    // of the row.
    if (status < 300 || status === 304) return refused;
    const fields: string[] = [];
    for (const [name, value] of Object.entries(headers)) {
      if (value === undefined || !this.#told(name)) continue;
      for (const each of [value].flat()) {
        if (!VALUE.test(each)) return unavailable(1, 'unusable_answer');
        fields.push(name, each);
      }
    }
    return { ...refused, answer: { code: status, fields, body } };
  }
}

function unavailable(retryAfter: number, cause: string): Denial {
  return denial('authorizer_unavailable', 'the authorizer gave no usable answer', { retryAfter, cause });
}

/** One value of a field that may have come in several lines (RFC 9110 §5.3, RFC 6265 §5.4). */
function joined(name: string, value: string | readonly string[]): string {
  return typeof value === 'string' ? value : value.join(name === 'cookie' ? '; ' : ', ');
}

/** @param patterns names in lower case; `x-*` and `*-x` are prefixes and suffixes */
function matcher(patterns: readonly string[]): (name: string) => boolean {
  const exact = new Set(patterns.filter((pattern) => !pattern.includes('*')));
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1));
  const suffixes = patterns.filter((pattern) => pattern.startsWith('*')).map((pattern) => pattern.slice(1));
  return (name) =>
    exact.has(name) ||
    prefixes.some((prefix) => name.startsWith(prefix)) ||
    suffixes.some((suffix) => name.endsWith(suffix));
}
