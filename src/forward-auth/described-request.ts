import type { ErrorName } from '../model/errors.js';
import { type Fields, singleField } from '../parse/fields.js';
import { forwardedScheme, SEVERAL_SCHEMES } from '../parse/forwarded-scheme.js';
import { TOKEN } from '../parse/grammar.js';
import { readHost } from '../parse/host.js';
import { describedTarget, type Target } from '../parse/target.js';

/** How a forward-auth call describes the request that it is about. */
export type Form =
  /** X-Forwarded-Method, -Host and -Uri, as Traefik, Caddy and the callers of Oathkeeper send them. */
  | 'forwarded'
  /** X-Original-Method with X-Original-URL, or with X-Original-URI and a host, as nginx sends them. */
  | 'original'
  /**
   * The call's own method and Host, and the path after the prefix, as ext_authz of Envoy and Istio sends them
   * over HTTP.
   */
  | 'request';

/** The request that a forward-auth call is about. */
export interface DescribedRequest {
  readonly method: string;
  /** The header fields of the call, with the host of the described request. */
  readonly fields: Fields;
  readonly target: Target;
  /** `http` or `https`. If the proxy does not say, `http`. */
  readonly scheme: string;
}

/** Why a forward-auth call is invalid or ambiguous. */
export interface DescriptionRefusal {
  readonly error: ErrorName;
  readonly refused: string;
}

/** A proxy's forward-auth call as it arrived. */
export interface Question {
  readonly method: string;
  /**
   * What follows the prefix in the raw request target. It describes a request only if it begins with a path:
   * Caddy leaves the query there.
   */
  readonly rest: string;
  readonly fields: Fields;
}

interface Parts {
  readonly method: string;
  readonly authority: string;
  readonly uri: string;
  readonly scheme?: string;
}

/** The longest method that is accepted, in characters. */
const MAX_METHOD = 32;
const ABSOLUTE = /^(https?):\/\/([^/?#]+)(.*)$/i;
const FORWARDED = ['x-forwarded-method', 'x-forwarded-uri'] as const;
const ORIGINAL = ['x-original-method', 'x-original-url', 'x-original-uri', 'x-original-host'] as const;

/**
 * Reads the request that a forward-auth call is about. Every field that describes it must occur once and be
 * well-formed. There must be only one description: a proxy that sets one form forwards what its client sends
 * in another.
 *
 * @param form the form to read; `any` accepts each form and refuses more than one
 * @param maxTargetBytes the longest request target, in bytes; a longer one is refused (RFC 9112 §3)
 */
export function readDescribedRequest(
  question: Question,
  form: Form | 'any',
  maxTargetBytes: number,
): DescribedRequest | DescriptionRefusal {
  const settled = form === 'any' ? formOf(question) : form;
  if (typeof settled !== 'string') return settled;
  const parts = READERS[settled](question, form === 'any');
  if ('refused' in parts) return parts;

  const { method, authority, uri } = parts;
  if (method.length > MAX_METHOD || !TOKEN.test(method))
    return malformed('the described method is malformed');
  if (method === 'TRACE' || method === 'CONNECT') {
    return { error: 'method_refused', refused: `this gateway does not serve ${method}` };
  }
  if (uri.length > maxTargetBytes) {
    return { error: 'target_too_long', refused: 'the request target is too long' };
  }
  if (!uri.startsWith('/')) return malformed('the described target is not a path');
  const scheme = forwardedScheme(question.fields);
  if (scheme === null) return malformed(SEVERAL_SCHEMES);
  const target = describedTarget(uri, authority);
  if ('refused' in target) return { error: 'malformed_target', refused: target.refused };
  return {
    method,
    fields: { ...question.fields, host: authority },
    target,
    scheme: parts.scheme?.toLowerCase() ?? scheme ?? 'http',
  };
}

/** The one form that a call uses. */
function formOf({ rest, fields }: Question): Form | DescriptionRefusal {
  const forms: Form[] = [];
  if (FORWARDED.some((name) => fields.names.includes(name))) forms.push('forwarded');
  if (ORIGINAL.some((name) => fields.names.includes(name))) forms.push('original');
  if (rest.startsWith('/')) forms.push('request');
  const [form] = forms;
  if (form === undefined)
    return malformed(
      'the forward-auth call describes no request: send X-Forwarded-Method, X-Forwarded-Host and X-Forwarded-Uri, or another form of decisions.describedBy',
    );
  return forms.length === 1
    ? form
    : malformed('the forward-auth call describes a request in more than one form');
}

type Reader = (question: Question, alone: boolean) => Parts | DescriptionRefusal;

const READERS: Readonly<Record<Form, Reader>> = {
  forwarded({ rest, fields }) {
    if (rest.startsWith('/'))
      return malformed('the forward-auth call describes a request in more than one form');
    const method = single(fields, 'X-Forwarded-Method');
    const authority = single(fields, 'X-Forwarded-Host');
    const uri = single(fields, 'X-Forwarded-Uri');
    // No field has a default. In particular, the method of the call itself is not that of the described
    // request.
    return problem(method, authority, uri) ?? parts(method, authority, uri);
  },

  original({ rest, fields }) {
    if (rest.startsWith('/'))
      return malformed('the forward-auth call describes a request in more than one form');
    const method = single(fields, 'X-Original-Method');
    const url = optional(fields, 'X-Original-URL');
    const uri = optional(fields, 'X-Original-URI');
    const host = optional(fields, 'X-Original-Host');
    const wrong = problem(method, url, uri, host);
    if (wrong !== undefined) return wrong;
    if (url === undefined) {
      if (uri === undefined) return malformed('X-Original-URL and X-Original-URI are both missing');
      return parts(method, host ?? fields.host ?? '', uri);
    }
    const absolute = ABSOLUTE.exec(url as string);
    if (absolute === null) return malformed('X-Original-URL must be an absolute http or https URL');
    const authority = absolute[2] as string;
    const path = absolute[3] as string;
    if (uri !== undefined && uri !== path) return malformed('X-Original-URL and X-Original-URI differ');
    if (host !== undefined && !sameHost(host as string, authority)) {
      return malformed('X-Original-URL and X-Original-Host differ');
    }
    const read = parts(method, authority, path.startsWith('/') ? path : `/${path}`);
    return { ...read, scheme: absolute[1] as string };
  },

  request({ method, rest, fields }, alone) {
    const forwarded = alone ? optional(fields, 'X-Forwarded-Host') : undefined;
    const wrong = problem(forwarded);
    if (wrong !== undefined) return wrong;
    const authority = fields.host ?? '';
    if (forwarded !== undefined && !sameHost(forwarded as string, authority)) {
      return malformed('Host and X-Forwarded-Host differ');
    }
    return { method, authority, uri: rest };
  },
};

function parts(...[method, authority, uri]: (string | DescriptionRefusal)[]): Parts {
  return { method: method as string, authority: authority as string, uri: uri as string };
}

function problem(...read: (string | undefined | DescriptionRefusal)[]): DescriptionRefusal | undefined {
  return read.find((value) => typeof value === 'object');
}

function single(fields: Fields, name: string): string | DescriptionRefusal {
  return optional(fields, name) ?? malformed(`${name} is missing`);
}

function optional(fields: Fields, name: string): string | undefined | DescriptionRefusal {
  const value = singleField(fields, name.toLowerCase());
  return value === null ? malformed(`${name} is given more than once`) : value;
}

/** Whether two authorities select the same rules. Ports are ignored. */
function sameHost(one: string, other: string): boolean {
  const host = readHost(one);
  return host !== undefined && host === readHost(other);
}

function malformed(refused: string): DescriptionRefusal {
  return { error: 'malformed_request', refused };
}
