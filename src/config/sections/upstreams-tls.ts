import { file, flag, text } from '../kinds.js';
import type { Place } from '../place.js';
import { entries, section, type Value } from '../setting.js';
import { checkClientTls } from './client-tls.js';

/**
 * `forward.tls`: which certificates the gateway trusts and presents for upstreams. The settings of one
 * upstream override the general ones.
 */
export const upstreamsTls = section('TLS to upstreams. Files are read again when they change.', {
  ca: file(
    'PEM file of the certificate authorities to trust. Absent: those of Node, and in the image those of the system as well (docs/operations.md).',
  ),
  cert: file('PEM file of the client certificate that scopegate shows to upstreams.'),
  key: file('PEM file of its private key.'),
  upstreams: entries(
    'Exceptions for single upstreams. Each has an `origin` (https://name:port), and `ca`, `cert` with `key`, or `insecureSkipVerify`.',
    {
      origin: text('Origin of the upstream, https://name:port.').required(),
      ca: file('PEM file of the certificate authorities to trust.'),
      cert: file('PEM file of the client certificate that scopegate shows to this upstream.'),
      key: file('PEM file of its private key.'),
      insecureSkipVerify: flag('Do not verify its certificate. Insecure.'),
    },
  ).check((upstreams, place) => {
    const seen = new Set<string>();
    upstreams.forEach((upstream, index) => {
      checkOrigin(upstream.origin, seen, place.at(index, 'origin'));
      checkClientTls(upstream, place.at(index));
    });
  }),
  insecureSkipVerify: flag('Do not verify the certificates of upstreams. Insecure.', false),
}).check(checkClientTls);

/** The TLS settings for upstreams: the general ones, and those of single upstreams, which override them. */
export type UpstreamsTls = Value<typeof upstreamsTls>;

const NO_URL = { protocol: '', origin: '', href: '' } as const;

/** @param seen the origins of the entries before this one; the origin of this one is added */
function checkOrigin(written: string, seen: Set<string>, place: Place): void {
  const { protocol, origin, href } = URL.canParse(written) ? new URL(written) : NO_URL;
  if (protocol !== 'https:' || href !== `${origin}/`) {
    place.problem('must be an https origin such as https://name:8443');
  } else if (seen.has(origin)) {
    place.problem('is given twice');
  }
  seen.add(origin);
}
