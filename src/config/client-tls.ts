import { readPemFile } from '../model/text-file.js';
import type { ServerTls } from '../tls/connector.js';
import { certificatesIn } from '../tls/identity.js';
import { type Reread, rereading } from './reread.js';

/**
 * The TLS files for connections to an authorization server or an upstream: the authorities that the gateway
 * trusts, and its client certificate and key.
 */
export interface ClientTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Reads the TLS files for connections to a server, as they are now.
 *
 * @throws Error if a file cannot be read, or if `ca` holds no certificate: the gateway would then trust no
 *   server
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

/**
 * Picks the TLS files from a section of the settings. A certificate without its key is left out; the settings'
 * own check reports it.
 */
export function clientTlsOf({
  ca,
  cert,
  key,
}: { [name in keyof ClientTls]?: string | undefined }): ClientTls {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  };
}

/** Returns a function that gives the content of the files. It reads them again when a file has changed. */
export function currentClientTls(files: ClientTls): Reread<ServerTls> {
  const names = Object.values(files).filter((file) => file !== undefined);
  return rereading(names, () => readClientTls(files));
}
