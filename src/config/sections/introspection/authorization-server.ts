import { RESERVED_HEADERS } from '../../../auth/introspection/call-headers.js';
import { derivedReadiness } from '../../../auth/introspection/readiness.js';
import type { Readiness, SignedAnswers } from '../../../model/authorization-server.js';
import { TOKEN } from '../../../parse/grammar.js';
import { file, map, text } from '../../kinds.js';
import type { Place } from '../../place.js';
import { section, type Values } from '../../setting.js';
import { checkClientTls } from '../client-tls.js';
import {
  type ClientAuth,
  type ClientAuthValues,
  clientAuth,
  fillsAuthorization,
  settleClientAuth,
} from './client-auth.js';
import { checkEndpoint } from './endpoint.js';
import { settleSigned, signed } from './signed.js';

const tls = section('TLS to the authorization server, whose certificate is always verified.', {
  ca: file(
    'PEM file of the certificate authorities to trust. Absent: those of Node, and in the image those of the system as well (docs/operations.md).',
  ),
  cert: file(
    'PEM file of the certificate that scopegate shows, followed by its intermediate certificates. scopegate reads this file and the others again when they change.',
  ),
  key: file('PEM file of the private key of that certificate.'),
}).check(checkClientTls);

/** The value of `readiness` that turns the check off. */
const NO_READINESS = 'none';

/** The settings of an authorization server, other than its location. */
export const common = {
  readiness: text(
    `URL that says whether the authorization server can look tokens up: a status 2xx means ready. When an introspection answers inactive, scopegate calls this URL, at most once a second; if the server is not ready, the client gets 503 and nothing is cached. Absent: Hydra's /health/ready if the introspection URL is that of Hydra's admin API, otherwise no check. ${NO_READINESS}: no check.`,
  ).check((url, place) => {
    if (url !== NO_READINESS) checkEndpoint(url, place);
  }),
  headers: map('Header fields that scopegate sends with every introspection.', {}),
  tls,
  clientAuth,
  signed,
};

/**
 * The settings that say where an authorization server is.
 *
 * @param url the description of the setting for the endpoint
 * @param issuer the description of the setting for the issuer
 */
export function location(url: string, issuer: string) {
  return {
    url: text(url).check(checkEndpoint),
    issuer: text(issuer)
      .check(checkEndpoint)
      .check((identifier, place) => {
        if (identifier.includes('?')) place.problem('must have no query');
      }),
  };
}

type ServerValues = Values<ReturnType<typeof location> & typeof common>;

/** An authorization server: the default one, which applies to rules that name none, or another one. */
export interface AuthorizationServer extends Pick<ServerValues, 'issuer' | 'headers' | 'tls'> {
  /** The introspection endpoint, or the issuer if the endpoint is discovered. */
  readonly url: string;
  /** Whether `url` is the issuer. */
  readonly discovered: boolean;
  /** If undefined, every inactive answer is accepted. */
  readonly readiness?: Readiness;
  /** If undefined, answers need not be signed. */
  readonly signed?: SignedAnswers;
  readonly clientAuth: ClientAuth;
}

/** Settles the settings of one authorization server, and checks that they fit together. */
export function settleServer(
  { url, issuer, headers, tls, clientAuth, signed: written, readiness: named }: ServerValues,
  place: Place,
): AuthorizationServer {
  if (url === undefined && issuer === undefined) {
    place.problem('must have the field "url" or "issuer"', 'missing-field');
  }
  checkHeaders(headers, clientAuth.method, place.at('headers'));
  const signed = settleSigned(written, issuer, clientAuth.clientId, place.at('signed'));
  const readiness = readinessOf(named, url);
  return {
    url: url ?? issuer ?? '',
    ...(issuer === undefined ? {} : { issuer }),
    discovered: url === undefined,
    ...(signed === undefined ? {} : { signed }),
    ...(readiness === undefined ? {} : { readiness }),
    headers,
    tls,
    clientAuth: settleClientAuth(clientAuth, issuer, tls.cert !== undefined, place.at('clientAuth')),
  };
}

/** @param url the introspection endpoint; undefined if it is discovered */
function readinessOf(named: string | undefined, url: string | undefined): Readiness | undefined {
  if (named === NO_READINESS) return undefined;
  if (named !== undefined) return { url: named };
  return url !== undefined && URL.canParse(url) ? derivedReadiness(url) : undefined;
}

function checkHeaders(
  headers: ServerValues['headers'],
  method: ClientAuthValues['method'],
  place: Place,
): void {
  const seen = new Set<string>();
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    const problem =
      !TOKEN.test(lower) || /[^\t\x20-\x7e]/.test(value)
        ? 'is not a valid header field'
        : RESERVED_HEADERS.has(lower)
          ? 'is a field that scopegate sets itself; remove it'
          : seen.has(lower)
            ? 'is given twice'
            : lower === 'authorization' && fillsAuthorization(method)
              ? `cannot be set, because clientAuth.method: ${method} sets it; remove one of them`
              : undefined;
    if (problem !== undefined) place.at(name).problem(problem);
    seen.add(lower);
  }
}
