import { createSecureContext } from 'node:tls';
import { type ClientTls, readClientTls } from '../client-tls.js';
import type { Place } from '../place.js';

/** Checks that a certificate is configured together with its key, and that the files hold what they should. */
export function checkClientTls(files: ClientTls, place: Place): void {
  const { cert, key } = files;
  if ((cert === undefined) !== (key === undefined)) {
    place.missing(cert === undefined ? 'cert' : 'key');
    return;
  }
  // A file that cannot be read has already been reported.
  if (!(['ca', 'cert', 'key'] as const).every((name) => place.at(name).sound)) return;
  try {
    createSecureContext(readClientTls(files));
  } catch {
    // The library's message is about its own internals, so it is not shown.
    place.error(
      `${place.name}: cert, key or ca does not contain what it should, or the key does not belong to the certificate`,
      'unreadable-file',
    );
  }
}
