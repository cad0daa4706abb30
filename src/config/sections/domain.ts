import { text } from '../kinds.js';

/** `domain`: the domain that is appended to the short host names of APIRules. */
export const domain = text(
  'Domain appended to an APIRule host that has no dot. Absent: such a host is kept as it is.',
).check((name, place) => {
  if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(name)) place.problem('must be a domain name');
});
