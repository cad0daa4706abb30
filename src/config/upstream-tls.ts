import type { UpstreamTls } from '../tls/connector.js';
import { type ClientTls, clientTlsOf, currentClientTls } from './client-tls.js';
import type { UpstreamsTls } from './sections/upstreams-tls.js';

/** Returns the TLS settings of an upstream, by its origin. Files are read again when they have changed. */
export function upstreamTls({ upstreams, ...general }: UpstreamsTls): (origin: string) => UpstreamTls {
  const build = ({ insecureSkipVerify, ...files }: ClientTls & { insecureSkipVerify: boolean }) => ({
    verify: !insecureSkipVerify,
    identity: currentClientTls(clientTlsOf(files)),
  });
  const forAll = build(general);
  const known = new Map(
    upstreams.map(({ origin, ...own }) => [new URL(origin).origin, build({ ...general, ...own })]),
  );
  return (origin) => known.get(origin) ?? forAll;
}

/**
 * The names of the settings that turn off the verification of certificates. The gateway warns of them at its
 * start.
 */
export function unverified({ insecureSkipVerify, upstreams }: UpstreamsTls): string[] {
  return [
    ...(insecureSkipVerify ? ['forward.tls.insecureSkipVerify'] : []),
    ...upstreams.flatMap((each, index) =>
      each.insecureSkipVerify === true ? [`forward.tls.upstreams.${index}.insecureSkipVerify`] : [],
    ),
  ];
}
