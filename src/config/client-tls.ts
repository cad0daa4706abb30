import { readPemFile } from '../model/text-file.js';
import type { ServerTls, UpstreamTls } from '../tls/connector.js';
import { certificatesIn } from '../tls/identity.js';
import { rereading } from './reread.js';

/** Files of what the gateway trusts and shows towards an authorization server or an upstream. */
export interface ClientTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Reads the files of TLS towards a server as they are now.
 *
 * @throws Error where one cannot be read, or `ca` holds no certificate: nobody would be trusted
 */
export function readClientTls(files: ClientTls): ServerTls {
  return Object.fromEntries(
    (['ca', 'cert', 'key'] as const).flatMap((name) => {
      const file = files[name];
      if (file === undefined) return [];
      const text = readPemFile(file);
      return [[name, name === 'ca' ? certificatesIn(text) : text]];
    }),
  );
}

/** The same, read anew when a file has changed. */
export function currentClientTls(files: ClientTls): () => ServerTls {
  const names = Object.values(files).filter((file) => file !== undefined);
  return rereading(names, () => readClientTls(files));
}

/** TLS towards upstreams: what holds for all, and in its place what is said of one. */
export interface UpstreamsTls extends ClientTls {
  readonly insecureSkipVerify: boolean;
  readonly upstreams: readonly UpstreamClientTls[];
}

/** TLS towards one upstream; what is absent is as for all. */
export interface UpstreamClientTls extends ClientTls {
  /** `https://name:port`. */
  readonly origin: string;
  readonly insecureSkipVerify?: boolean;
}

/** What holds for one upstream by its origin, read anew when a file has changed. */
export function upstreamTls({ upstreams, ...general }: UpstreamsTls): (origin: string) => UpstreamTls {
  const build = ({ insecureSkipVerify, ca, cert, key }: ClientTls & { insecureSkipVerify: boolean }) => ({
    verify: !insecureSkipVerify,
    identity: currentClientTls({
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    }),
  });
  const forAll = build(general);
  const known = new Map(
    upstreams.map(({ origin, ...own }) => [new URL(origin).origin, build({ ...general, ...own })]),
  );
  return (origin) => known.get(origin) ?? forAll;
}

/** The settings by which certificates are not verified, to be told of at the start. */
export function unverified({ insecureSkipVerify, upstreams }: UpstreamsTls): string[] {
  return [
    ...(insecureSkipVerify ? ['forward.tls.insecureSkipVerify'] : []),
    ...upstreams.flatMap((each, index) =>
      each.insecureSkipVerify === true ? [`forward.tls.upstreams.${index}.insecureSkipVerify`] : [],
    ),
  ];
}
