import type { SignedAnswers } from '../../../model/authorization-server.js';
import { PUBLIC_KEY_SIGNATURES } from '../../../model/signature-algorithms.js';
import { readDecryptionKeys } from '../../key.js';
import { flag, list, openFile, path, text } from '../../kinds.js';
import type { Place } from '../../place.js';
import { section, type Value } from '../../setting.js';
import { checkEndpoint } from './endpoint.js';

/** `signed` of an authorization server: whether its answers must be signed (RFC 9701). */
export const signed = section('Signed introspection answers (RFC 9701). They need introspection.issuer.', {
  required: flag('Accept only answers that the authorization server has signed (RFC 9701).', false),
  jwksUrl: text(
    'The JWK Set with the keys of the authorization server. Absent: the one that its metadata names.',
  ),
  audience: text('The audience (aud) that answers must have. Absent: introspection.clientAuth.clientId.'),
  decryptionKeyFile: path(
    'File with the private key that decrypts answers: PEM (not encrypted), a JWK, or a JWK Set during a rotation. scopegate reads it again when it changes. Absent: answers are not encrypted. Present: they must be.',
  ),
  algorithms: list('Accepted JWS algorithms.', PUBLIC_KEY_SIGNATURES),
});

/**
 * Settles what a server's signed answers must look like.
 *
 * @param issuer the issuer of the server
 * @param clientId the gateway's client id at that server; it is the audience of the answers unless the
 *   settings say otherwise
 * @returns undefined if answers need not be signed
 */
export function settleSigned(
  { required, algorithms, jwksUrl, audience: own, decryptionKeyFile }: Value<typeof signed>,
  issuer: string | undefined,
  clientId: string | undefined,
  place: Place,
): SignedAnswers | undefined {
  if (!required) {
    if (decryptionKeyFile !== undefined) {
      place
        .at('decryptionKeyFile')
        .problem(`has no effect unless ${place.name}.required is true; set that to true, or remove it`);
    }
    return undefined;
  }
  const audience = own ?? clientId;
  if (issuer === undefined)
    place.error(`${place.name}.required needs ${place.section}.issuer`, 'missing-field');
  if (audience === undefined) place.missing('audience');
  algorithms.forEach((algorithm, index) => {
    if (/^(?:[RPE]S(?:256|384|512)|EdDSA|Ed25519)$/.test(algorithm)) return;
    place.at('algorithms', index).problem('must be an algorithm with a public key, such as RS256 or ES256');
  });
  if (jwksUrl !== undefined) checkEndpoint(jwksUrl, place.at('jwksUrl'));
  return {
    issuer: issuer ?? '',
    audience: audience ?? '',
    algorithms,
    ...(jwksUrl === undefined ? {} : { jwksUrl }),
    ...(decryptionKeyFile === undefined
      ? {}
      : {
          decryption: openFile(
            decryptionKeyFile,
            place.at('decryptionKeyFile'),
            readDecryptionKeys,
            () => [],
          ),
        }),
  };
}
