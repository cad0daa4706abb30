import { identifierProblem, metadataUrl } from '../../rules/apirule/protected-resource.js';
import { each, list, text } from '../kinds.js';
import type { Place } from '../place.js';
import { entries } from '../setting.js';

/** `resources`: protected resources whose metadata the gateway publishes (RFC 9728). */
export const resources = entries(
  'Protected resources. scopegate publishes their metadata without a token (RFC 9728) and names it in challenges. Each has a `resource` (its identifier, an https URL), `authorizationServers` (issuer identifiers), and optionally `name`, `documentation`, `policy` and `terms`; see docs/resources.md.',
  {
    resource: text('The resource identifier (RFC 9728 section 1.2).').check(identifier).required(),
    authorizationServers: list('Issuer identifiers of the authorization servers.')
      .check(each(identifier))
      .required(),
    name: text('Display name for people (resource_name).'),
    documentation: text('URL of a page for developers.').check(webUrl),
    policy: text('URL of the policy on how clients may use the data.').check(webUrl),
    terms: text('URL of the terms of service.').check(webUrl),
  },
)
  .check((all, place) => {
    const places = new Map<string, string>();
    all.forEach(({ resource }, index) => {
      if (identifierProblem(resource) !== undefined) return;
      // Requests are matched by host without the port, so the port is not compared.
      const { hostname, pathname } = new URL(metadataUrl(resource));
      const earlier = places.get(hostname + pathname);
      if (earlier !== undefined) {
        place.at(index, 'resource').problem(`has the same metadata URL as ${earlier}; change one of them`);
      }
      places.set(hostname + pathname, resource);
    });
  })
  .as((all, place) =>
    all.map((entry, index) => {
      const { file, line, col } = place.at(index, 'resource').position;
      return { ...entry, source: `${file}:${line}:${col}` };
    }),
  );

function identifier(text: string, place: Place): void {
  const problem = identifierProblem(text);
  if (problem !== undefined) place.problem(problem);
}

function webUrl(text: string, place: Place): void {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    place.problem('must be an http or https URL');
  }
}
