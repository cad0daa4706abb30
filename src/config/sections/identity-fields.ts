import { list } from '../kinds.js';
import { section, type Value } from '../setting.js';

/** `forward.identityFields`: identity fields besides those of the table that scopegate knows. */
export const identityFields = section(
  'Request fields that upstreams take for a statement of the gateway: who the user is, where the request came from. No copy of a client reaches an upstream.',
  {
    remove: list(
      'Fields that are removed besides those of docs/identity-fields.md: names, or beginnings of names followed by *, such as X-Acme-*.',
      [],
    ),
    keep: list(
      'Fields that pass all the same, as they came and from whoever sends them; written as in remove. Of entries of both lists that hold a name, the most specific decides. Only for fields that the proxy in front overwrites, or that the upstream does not believe.',
      [],
    ),
  },
).check((lists, place) => {
  const removed = new Set(lists.remove.map((field) => field.toLowerCase()));
  for (const list of ['remove', 'keep'] as const) {
    lists[list].forEach((field, index) => {
      const lower = field.toLowerCase();
      const at = place.at(list, index);
      if (!PATTERN.test(field)) {
        at.problem('must be the name of a header field, or the beginning of one followed by *');
      } else if (OWN.has(lower)) at.problem('is a field that scopegate itself writes or reads');
      else if (list === 'keep' && removed.has(lower)) at.problem('stands in remove as well');
    });
  }
});

/** What the settings say of identity fields. */
export type IdentityFieldSettings = Value<typeof identityFields>;

/** A name (RFC 9110 §5.1), or the beginning of one and `*`. A name may hold `*` as well, but none in use does. */
const PATTERN = /^[!#$%&'+.^_`|~0-9a-z-]+\*?$/i;

/** What scopegate reads, frames the request with, or writes anew: neither list can change what becomes of it. */
const OWN: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'transfer-encoding',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-request-id',
]);
