import { list } from '../kinds.js';
import { section, type Value } from '../setting.js';

/** `forward.identityFields`: identity fields in addition to those of scopegate's own table. */
export const identityFields = section(
  'Header fields that upstreams trust because gateways set them: who the user is, where the request came from. scopegate removes them from the requests of clients.',
  {
    remove: list(
      'Fields that scopegate removes in addition to those in docs/identity-fields.md: names, or prefixes followed by *, such as X-Acme-*.',
      [],
    ),
    keep: list(
      'Fields that scopegate does not remove; they pass unchanged from every client. Written as in remove. If entries of both lists match a name, the most specific one decides. Use it only for fields that the proxy in front overwrites, or that the upstream does not trust.',
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
      } else if (OWN.has(lower)) at.problem('is a field that scopegate itself writes or reads; remove it');
      else if (list === 'keep' && removed.has(lower))
        at.problem('is also in remove; delete one of the two entries');
    });
  }
});

/** The settings about identity fields. */
export type IdentityFieldSettings = Value<typeof identityFields>;

/**
 * A field name (RFC 9110 §5.1), or a prefix followed by `*`. RFC 9110 also allows `*` in a name, but no name
 * in use has one.
 */
const PATTERN = /^[!#$%&'+.^_`|~0-9a-z-]+\*?$/i;

/**
 * Fields that scopegate reads, writes itself, or frames the request with. Neither list can change what
 * happens to them.
 */
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
