import { readFileSync } from 'node:fs';
import type { ServerTls } from '../introspection/tls.js';
import { current } from './current.js';

/** Files of what the gateway trusts and shows towards an authorization server. */
export interface ClientTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Reads the files of TLS towards an authorization server as they are now. */
export function readClientTls(files: ClientTls): ServerTls {
  return Object.fromEntries(
    (['ca', 'cert', 'key'] as const).flatMap((name) => {
      const file = files[name];
      return file === undefined ? [] : [[name, readFileSync(file, 'utf8')]];
    }),
  );
}

/** The same, read anew when a file has changed. */
export function currentClientTls(files: ClientTls): () => ServerTls {
  const names = Object.values(files).filter((file) => file !== undefined);
  return current(names, () => readClientTls(files));
}
