import { CERTIFICATE_FIELDS } from '../../auth/possession/certificate.js';
import { PROOF_ALGORITHMS } from '../../auth/possession/dpop.js';
import { choice, duration, each, flag, integer, limit, list, secretFile } from '../kinds.js';
import { section, type Value } from '../setting.js';

/** The smallest size in bytes of a secret that several gateways share. */
const SECRET_BYTES = 32;

const nonce = section('Nonces of the gateway, which proofs must then hold (RFC 9449 section 9).', {
  required: flag('Refuse proofs without one.', false),
  lifetime: limit('How long a nonce is the newest; the one before it is taken as well.', '5m'),
  secretFile: secretFile(
    'File with a secret of 32 bytes at least that gateways share which serve the same clients. Absent: one of its own, made at start.',
  ).check((secret, place) => {
    const { length } = secret.reveal();
    // An empty secret means that the file has already been reported.
    if (length > 0 && length < SECRET_BYTES) place.problem(`must hold ${SECRET_BYTES} bytes at least`);
  }),
}).as(({ secretFile: secret, ...rest }) => ({ ...rest, ...(secret === undefined ? {} : { secret }) }));

const dpop = section('DPoP (RFC 9449).', {
  enabled: flag(
    'Take tokens with the scheme DPoP, and verify their proofs. Off: a token that is bound in this way is refused.',
    false,
  ),
  algorithms: list('Signature algorithms of proofs.', PROOF_ALGORITHMS).check(
    each((name, place) => {
      if (PROOF_ALGORITHMS.includes(name)) return;
      place.problem(`must be one of ${PROOF_ALGORITHMS.join(', ')}: a proof is signed with a private key`);
    }),
  ),
  maxAge: limit('How old a proof may be.', '60s'),
  leeway: duration('How far the clock of a client may be ahead.', '5s'),
  maxProofs: integer(
    'Most proofs remembered, so that none is used twice; when they are that many, requests get 503.',
    100_000,
    1,
  ),
  maxProofsPerKey: integer('Most proofs remembered of one key; one more is refused.', 10_000, 1),
  replays: choice(
    'What a proof must not have been used at. shared: any gateway with the store of introspection.cache.shared, where there is one; while it does not answer, this gateway. required: the same, but while the store does not answer, requests get 503. own: this gateway.',
    ['shared', 'required', 'own'],
    'shared',
  ),
  nonce,
});

/** `proof`: proof of possession. Times are in milliseconds. */
export const proof = section('How clients prove that they have the key a token is bound to (`cnf`).', {
  dpop,
  certificateField: choice(
    'Where a TLS terminator in trustedProxies passes the certificate of its client, for tokens that are bound to one (RFC 8705): client-cert (RFC 9440), x-forwarded-client-cert (Envoy, Istio), x-forwarded-tls-client-cert (Traefik), x-ssl-client-cert (nginx, escaped PEM). none: only what the client of a connection has shown itself.',
    ['none', ...CERTIFICATE_FIELDS],
    'none',
  ),
});

/** How clients prove that they have the key a token is bound to. */
export type ProofSettings = Value<typeof proof>;
