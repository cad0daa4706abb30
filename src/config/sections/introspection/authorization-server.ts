import { RESERVED_HEADERS } from '../../../auth/introspection/call-headers.js';
import type { SignedAnswers } from '../../../model/authorization-server.js';
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
    'PEM file of the authorities to trust. Absent: those of Node, and in the image those of the system as well (docs/operations.md).',
  ),
  cert: file(
    'PEM file of the certificate that the gateway shows, followed by its intermediate certificates. This file and the others are read anew when they change.',
  ),
  key: file('PEM file of the private key of that certificate.'),
}).check(checkClientTls);

/** What is said of an authorization server beside where it is. */
export const common = {
  headers: map('Header fields sent with every introspection.', {}),
  tls,
  clientAuth,
  signed,
};

/**
 * What says where an authorization server is.
 *
 * @param url describes the setting of the endpoint
 * @param issuer describes that of the issuer
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

/** An authorization server: the one that rules mean where they name none, or another one. */
export interface AuthorizationServer extends Pick<ServerValues, 'issuer' | 'headers' | 'tls'> {
  /** The endpoint, or the issuer where it is to be discovered. */
  readonly url: string;
  /** Whether `url` is the issuer. */
  readonly discovered: boolean;
  /** Undefined takes plain answers. */
  readonly signed?: SignedAnswers;
  readonly clientAuth: ClientAuth;
}

/** Settles what is said of one authorization server, and checks that it fits together. */
export function settleServer(
  { url, issuer, headers, tls, clientAuth, signed: written }: ServerValues,
  place: Place,
): AuthorizationServer {
  if (url === undefined && issuer === undefined) {
    place.problem('must have the field "url" or "issuer"', 'missing-field');
  }
  checkHeaders(headers, clientAuth.method, place.at('headers'));
  const signed = settleSigned(written, issuer, clientAuth.clientId, place.at('signed'));
  return {
    url: url ?? issuer ?? '',
    ...(issuer === undefined ? {} : { issuer }),
    discovered: url === undefined,
    ...(signed === undefined ? {} : { signed }),
    headers,
    tls,
    clientAuth: settleClientAuth(clientAuth, issuer, tls.cert !== undefined, place.at('clientAuth')),
  };
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
        ? 'is no valid header field'
        : RESERVED_HEADERS.has(lower)
          ? 'is a field that the gateway itself must set'
          : seen.has(lower)
            ? 'is given twice'
            : lower === 'authorization' && fillsAuthorization(method)
              ? `is at odds with the method ${method} of clientAuth`
              : undefined;
    if (problem !== undefined) place.at(name).problem(problem);
    seen.add(lower);
  }
}
