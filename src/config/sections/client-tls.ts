import { createSecureContext } from 'node:tls';
import { type ClientTls, readClientTls } from '../client-tls.js';
import type { Place } from '../place.js';

/** Checks that a certificate is given with its key, and that the files are what they should be. */
export function checkClientTls(files: ClientTls, place: Place): void {
  const { cert, key } = files;
  if ((cert === undefined) !== (key === undefined)) {
    place.missing(cert === undefined ? 'cert' : 'key');
    return;
  }
  // A file that cannot be read has been reported already.
  if (!(['ca', 'cert', 'key'] as const).every((name) => place.at(name).sound)) return;
  try {
    createSecureContext(readClientTls(files));
  } catch {
    // The library's message is about its own internals.
    place.error(`${place.name}: these files are no certificates with their key`, 'unreadable-file');
  }
}
