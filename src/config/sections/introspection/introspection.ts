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
    'The introspection endpoint; redirects are not followed. Absent: the one that the metadata of introspection.issuer names.',
    'The issuer identifier of the authorization server, by which its metadata is found (RFC 8414, OpenID Connect Discovery).',
  ),
  readiness,
  scopeStrategy: choice(
    'How a required scope is compared with a granted one, where a rule does not say.',
    ['exact', 'hierarchic', 'wildcard'],
    'exact',
  ),
  timeout: limit('Longest time for one introspection, retries included.', '2s'),
  connectTimeout: limit('Longest time to open a connection.', '1s'),
  maxResponseBytes: integer('Largest answer read.', 262_144, 1),
  concurrency: integer('Most introspections in flight at once.', 128, 1),
  queue: integer('Most introspections waiting for their turn; one more is refused with 503.', 1024),
  retries: integer('Most retries after a connection error, within the timeout.', 1, 0, 10),
  leeway: duration('Clock skew tolerated on exp, nbf and iat.', '0s'),
  headers,
  requireContentType: flag('Refuse an answer whose Content-Type is not application/json.', true),
  tls,
  clientAuth,
  servers: entries(
    'Further authorization servers, which rules choose by introspection_url. Each has a `url` or an `issuer`, and `headers`, `tls`, `clientAuth` and `signed` of its own, as introspection itself; a server that is not among them gets no credentials.',
    {
      ...location(
        'An introspection endpoint of it. Absent: the one that the metadata of the issuer names.',
        'Its issuer identifier, by which its metadata is found.',
      ),
      ...common,
    },
  ).as((servers, place) => servers.map((server, index) => settleServer(server, place.at(index)))),
  cache,
  signed,
  flood: section(
    'What one client may ask about: tokens that turn out to be none. Clients are told apart by address, of IPv6 by network of 64 bits; a proxy in front must be among trustedProxies, for else all its clients are one.',
    {
      badTokens: integer(
        'Most tokens of one client, within the time, that are not active; one more that is not in the cache is answered 429 with Retry-After. 0 for no limit.',
        0,
      ),
      per: limit('That time.', '1m'),
      maxClients: integer('Most clients remembered.', 10_000, 1),
    },
  ),
  breaker: section('Stops asking an authorization server that fails.', {
    failures: integer('Consecutive failures that open the breaker; 0 turns it off.', 5),
    openFor: limit('Time before an open breaker lets one introspection through.', '5s'),
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
    if (seen.has(href)) place.at(index, discovered ? 'issuer' : 'url').problem('is that of another server');
    seen.add(href);
  });
}
