import { REFUSED } from '../../auth/mutators/header.js';
import type { Finding } from '../../document/finding.js';
import { TOKEN } from '../../parse/grammar.js';
import { each, limit, list, map, text } from '../kinds.js';
import type { Place } from '../place.js';
import { entries } from '../setting.js';

/** `kyma.extAuthorizers`: where the external authorizers are that APIRules of v2 name. */
export const extAuthorizers = entries(
  'External authorizers that APIRules of v2 name under extAuth. They correspond to extensionProviders with envoyExtAuthzHttp in Istio. Each has a `name` and a `url`, to whose path scopegate appends the path of the request, and optionally `timeout`, `includeRequestHeadersInCheck`, `includeAdditionalHeadersInCheck`, `headersToUpstreamOnAllow` and `headersToDownstreamOnDeny`; see docs/rules.md.',
  {
    name: text('The name that APIRules use.').required(),
    url: text('An http or https URL.').check(serviceUrl).required(),
    timeout: limit('Timeout for an answer.', '2s'),
    includeRequestHeadersInCheck: list(
      'Header fields of the request that the authorizer gets, in addition to Authorization; x-* and *-x are prefixes and suffixes.',
      [],
    )
      .check(each(namePattern))
      .as(lower),
    includeAdditionalHeadersInCheck: map('Further header fields that the authorizer gets.', {}).as(
      (fields, place) => {
        for (const [name, value] of Object.entries(fields)) {
          if (!TOKEN.test(name)) place.at(name).problem('must be the name of a header field');
          else if (/^(host|content-length|transfer-encoding|connection)$/i.test(name))
            place.at(name).problem('is a field that scopegate sets itself; remove it');
          if (!/^[\t\x20-\x7e]*$/.test(value)) place.at(name).problem('must be printable ASCII');
        }
        return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));
      },
    ),
    headersToUpstreamOnAllow: list(
      "Header fields of an answer 200 that the upstream gets. A client's copies never reach it.",
      [],
    )
      .check(
        each((name, place) => {
          if (name.includes('*')) {
            place.problem(
              "must be a full name without *, because scopegate removes the client's copies of these fields by name",
            );
          } else if (!TOKEN.test(name)) place.problem('must be the name of a header field');
          else if (REFUSED.test(name.toLowerCase()))
            place.problem('is a field that scopegate sets itself; remove it');
        }),
      )
      .as(lower),
    headersToDownstreamOnDeny: list(
      'Header fields of any other answer that the client gets, in addition to Location, WWW-Authenticate and Content-Type. Empty: all.',
      [],
    )
      .check(each(namePattern))
      .as(lower),
  },
).check((all, place) => {
  all.forEach(({ name }, index) => {
    if (all.findIndex((other) => other.name === name) < index)
      place.at(index, 'name').problem(`${name} is listed twice`);
  });
});

const OVER_HTTP = 'scopegate asks providers over HTTP alone, and not over gRPC (envoyExtAuthzGrpc)';

/** What to write in place of fields of Istio's extension providers that scopegate does not have. */
const ISTIO: Readonly<Record<string, string>> = {
  envoyExtAuthzGrpc: `${OVER_HTTP}: give the provider an HTTP port, and write its url; or leave its APIRules out with kyma.unserved: leaveOut`,
  envoyExtAuthzHttp: 'write its fields here, and url: "http://SERVICE:PORT" in place of service and port',
  includeRequestBodyInCheck:
    'scopegate sends no body to a provider: leave it out if the provider decides without; else ask it with the authorizer remote, or leave its APIRules out with kyma.unserved: leaveOut',
  port: 'write url: "http://SERVICE:PORT" in place of service and port',
  service: 'write url: "http://SERVICE:PORT" in place of service and port',
};

/** Says what to write if a finding is about a field that an extension provider of Istio has. */
export function withIstioHint(finding: Finding): Finding {
  const found = /^(unknown field "(\w+)" in kyma\.extAuthorizers\.\d+)/.exec(finding.message);
  const [, problem, key = ''] = found ?? [];
  if (problem === undefined || !Object.hasOwn(ISTIO, key)) return finding;
  return { ...finding, message: `${problem}; ${ISTIO[key]}` };
}

function serviceUrl(written: string, place: Place): void {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  const plain = url !== undefined && url.username === '' && url.search === '' && url.hash === '';
  if (!plain || !/^https?:$/.test(url.protocol)) {
    const more = url?.protocol === 'grpc:' || url?.protocol === 'grpcs:' ? `; ${OVER_HTTP}` : '';
    place.problem(`must be an http or https URL without credentials, query and fragment${more}`);
  }
}

function namePattern(name: string, place: Place): void {
  if (!TOKEN.test(name) || /.\*./.test(name)) {
    place.problem('must be the name of a header field; it may begin or end with *');
  }
}

function lower(names: readonly string[]): readonly string[] {
  return names.map((name) => name.toLowerCase());
}
