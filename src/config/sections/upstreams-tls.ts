import { file, flag, text } from '../kinds.js';
import type { Place } from '../place.js';
import { entries, section, type Value } from '../setting.js';
import { checkClientTls } from './client-tls.js';

/** `forward.tls`: what the gateway trusts and shows towards upstreams; what is said of one stands in place of the rest. */
export const upstreamsTls = section('TLS to upstreams. Files are read anew when they change.', {
  ca: file(
    'PEM file of the authorities to trust. Absent: those of Node, and in the image those of the system as well (docs/operations.md).',
  ),
  cert: file('PEM file of the client certificate that upstreams are shown.'),
  key: file('PEM file of its private key.'),
  upstreams: entries(
    'What holds for one upstream in place of that: each has an `origin` (https://name:port), and of `ca`, `cert` with `key`, and `insecureSkipVerify` what differs.',
    {
      origin: text('Origin of the upstream, https://name:port.').required(),
      ca: file('PEM file of the authorities to trust.'),
      cert: file('PEM file of the client certificate that it is shown.'),
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

/** TLS towards upstreams: what holds for all, and in its place what is said of one. */
export type UpstreamsTls = Value<typeof upstreamsTls>;

const NO_URL = { protocol: '', origin: '', href: '' } as const;

/** @param seen the origins before it; it is added */
function checkOrigin(written: string, seen: Set<string>, place: Place): void {
  const { protocol, origin, href } = URL.canParse(written) ? new URL(written) : NO_URL;
  if (protocol !== 'https:' || href !== `${origin}/`) {
    place.problem('must be an https origin such as https://name:8443');
  } else if (seen.has(origin)) {
    place.problem('is given twice');
  }
  seen.add(origin);
}
