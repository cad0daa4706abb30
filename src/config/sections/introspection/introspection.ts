import { choice, duration, flag, integer, limit } from '../../kinds.js';
import type { Place } from '../../place.js';
import { entries, section } from '../../setting.js';
import { type AuthorizationServer, common, location, settleServer } from './authorization-server.js';
import { cache } from './cache.js';

const { readiness, headers, tls, clientAuth, signed } = common;

/**
 * `introspection`: the default authorization server, which applies to rules that name none, and the others.
 * Times are in milliseconds.
 */
export const introspection = section('The token introspection of the authorization server (RFC 7662).', {
  ...location(
    'The introspection endpoint. scopegate follows no redirects. Absent: the endpoint that the metadata of introspection.issuer names.',
    'The issuer identifier of the authorization server. scopegate finds its metadata by it (RFC 8414, OpenID Connect Discovery).',
  ),
  readiness,
  scopeStrategy: choice(
    'How scopegate compares a required scope with a granted one, if the rule does not say.',
    ['exact', 'hierarchic', 'wildcard'],
    'exact',
  ),
  timeout: limit('Timeout of one introspection, including retries.', '2s'),
  connectTimeout: limit('Timeout for opening a connection.', '1s'),
  maxResponseBytes: integer('Size limit of an answer, in bytes.', 262_144, 1),
  concurrency: integer('Limit of introspections in flight.', 128, 1),
  queue: integer('Limit of introspections that wait for one of these. One more gets 503.', 1024),
  retries: integer('Limit of retries after a connection error, within the timeout.', 1, 0, 10),
  leeway: duration('Allowed clock skew for exp, nbf and iat.', '0s'),
  headers,
  requireContentType: flag('Refuse an answer whose Content-Type is not application/json.', true),
  tls,
  clientAuth,
  servers: entries(
    'Further authorization servers. A rule chooses one by introspection_url. Each has a `url` or an `issuer`, and its own `headers`, `tls`, `clientAuth` and `signed`, as introspection itself. A server that is not in the list gets no credentials.',
    {
      ...location(
        'The introspection endpoint of this server. Absent: the one that the metadata of the issuer names.',
        'The issuer identifier of this server, by which scopegate finds its metadata.',
      ),
      ...common,
    },
  ).as((servers, place) => servers.map((server, index) => settleServer(server, place.at(index)))),
  cache,
  signed,
  flood: section(
    'Rate limit of unknown tokens: how many inactive tokens one client may present. scopegate tells clients apart by their IPv4 address or IPv6 /64 network. A proxy in front must be in trustedProxies; otherwise all its clients count as one.',
    {
      badTokens: integer(
        'How many inactive tokens one client may present within `per`. Beyond that, its tokens that are not in the cache get 429 with Retry-After. 0 means no limit.',
        0,
      ),
      per: limit('The period for which badTokens is the limit.', '1m'),
      maxClients: integer('Limit of remembered clients.', 10_000, 1),
    },
  ),
  breaker: section('Circuit breaker: scopegate stops calling an authorization server that fails.', {
    failures: integer('How many consecutive failures open the circuit breaker; 0 turns it off.', 5),
    openFor: limit('How long an open circuit breaker waits before it lets one introspection through.', '5s'),
  }),
})
  .as(({ signed, readiness, ...values }, place) => ({
    ...values,
    ...settleServer({ ...values, signed, ...(readiness === undefined ? {} : { readiness }) }, place),
  }))
  .check(({ url, servers }, place) => {
    refuseTwins(url, servers, place.at('servers'));
  })
  .required();

/**
 * Refuses two servers with the same URL. A rule names a server by its URL, so each URL must belong to one
 * server.
 */
function refuseTwins(main: string, servers: readonly AuthorizationServer[], place: Place): void {
  const seen = new Set(URL.canParse(main) ? [new URL(main).href] : []);
  servers.forEach(({ url, discovered }, index) => {
    if (!URL.canParse(url)) return;
    const { href } = new URL(url);
    if (seen.has(href))
      place
        .at(index, discovered ? 'issuer' : 'url')
        .problem('is already used by another server; each server needs its own');
    seen.add(href);
  });
}
