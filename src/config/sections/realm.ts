import { text } from '../kinds.js';

/** `realm`: a parameter of the challenges in WWW-Authenticate. */
export const realm = text(
  'The realm of WWW-Authenticate challenges (RFC 9110 section 11.5).',
  'scopegate',
).check((name, place) => {
  if (!/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/.test(name)) {
    place.problem('must be printable ASCII without quotation mark and backslash');
  }
});
