import { readPemFile } from '../model/text-file.js';
import type { ServerTls } from '../tls/connector.js';
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
