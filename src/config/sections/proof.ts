import { CERTIFICATE_FIELDS } from '../../auth/possession/certificate.js';
import { PROOF_ALGORITHMS } from '../../auth/possession/dpop.js';
import { choice, duration, each, flag, integer, limit, list, secretFile } from '../kinds.js';
import { section, type Value } from '../setting.js';

/** The smallest size in bytes of a secret that several gateways share. */
const SECRET_BYTES = 32;

const nonce = section('Nonces that scopegate issues and that proofs must contain (RFC 9449 section 9).', {
  required: flag('Refuse proofs without a nonce.', false),
  lifetime: limit('How long scopegate issues the same nonce. It also accepts the previous one.', '5m'),
  secretFile: secretFile(
    'File with a secret of at least 32 bytes, from which nonces are made. All gateways that serve the same clients need the same secret. Absent: scopegate makes one at start.',
  ).check((secret, place) => {
    const { length } = secret.reveal();
    // An empty secret means that the file has already been reported.
    if (length > 0 && length < SECRET_BYTES) place.problem(`must contain at least ${SECRET_BYTES} bytes`);
  }),
}).as(({ secretFile: secret, ...rest }) => ({ ...rest, ...(secret === undefined ? {} : { secret }) }));

const dpop = section('DPoP (RFC 9449).', {
  enabled: flag(
    'Accept tokens with the scheme DPoP, and verify their proofs (RFC 9449). If off, scopegate refuses a token that is bound in this way.',
    false,
  ),
  algorithms: list('Accepted signature algorithms of proofs.', PROOF_ALGORITHMS).check(
    each((name, place) => {
      if (PROOF_ALGORITHMS.includes(name)) return;
      place.problem(`must be one of ${PROOF_ALGORITHMS.join(', ')}: a proof is signed with a private key`);
    }),
  ),
  maxAge: limit('How old a proof may be.', '60s'),
  leeway: duration('How far ahead the clock of a client may be.', '5s'),
  maxProofs: integer(
    'Limit of remembered proofs; scopegate remembers them so that none is used twice. At the limit, requests with proofs get 503.',
    100_000,
    1,
  ),
  maxProofsPerKey: integer('Limit of remembered proofs of one key. One more is refused.', 10_000, 1),
  replays: choice(
    'Where scopegate looks up whether a proof was used before. shared: in the store of introspection.cache.shared, if there is one; while it does not answer, in this gateway. required: the same, but while the store does not answer, requests get 503. own: in this gateway.',
    ['shared', 'required', 'own'],
    'shared',
  ),
  nonce,
});

/** `proof`: proof of possession. Times are in milliseconds. */
export const proof = section('How clients prove that they have the key a token is bound to (`cnf`).', {
  dpop,
  certificateField: choice(
    'The field in which a proxy in trustedProxies passes on the certificate of its client, for tokens that are bound to a certificate (RFC 8705): client-cert (RFC 9440), x-forwarded-client-cert (Envoy, Istio), x-forwarded-tls-client-cert (Traefik), x-ssl-client-cert (nginx, escaped PEM). none: only the certificate of the connection itself counts.',
    ['none', ...CERTIFICATE_FIELDS],
    'none',
  ),
});

/** How clients prove that they have the key a token is bound to. */
export type ProofSettings = Value<typeof proof>;
