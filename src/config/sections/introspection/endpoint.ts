import type { Place } from '../../place.js';

/** Checks the URL of an endpoint that the gateway calls. */
export function checkEndpoint(url: string, place: Place): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    place.problem('must be an http or https URL');
  } else if (parsed.username !== '' || parsed.password !== '') {
    place.problem('must not contain credentials; use introspection.clientAuth');
  } else if (parsed.hash !== '') {
    place.problem('must not have a fragment');
  }
}
