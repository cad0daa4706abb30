import { duration, integer, limit } from '../kinds.js';
import { section } from '../setting.js';

/** `server`: limits on clients. Times are in milliseconds. */
export const server = section('Limits on clients.', {
  headersTimeout: limit('Timeout for the header section of a request.', '10s'),
  keepAliveTimeout: limit('How long an idle connection stays open.', '65s'),
  bodyIdleTimeout: limit('Timeout for the next byte of a request body.', '30s'),
  minBodyRate: integer(
    'Lowest average rate of a request body, in bytes a second, after 5 s. A slower body gets 408. 0 means no limit.',
    240,
  ),
  pipelining: integer(
    'How many requests of one HTTP/1.1 connection scopegate works on at once. Further requests wait until these are answered.',
    1,
    1,
    1024,
  ),
  maxConnections: integer('Limit of open connections; 0 means no limit.', 0),
  maxInFlight: integer(
    'Limit of requests in flight, including forward-auth. Beyond that, requests get 503 with Retry-After. Requests whose body scopegate still reads and long exchanges (forward.longExchanges) do not count. 0 means no limit.',
    4096,
  ),
  maxEventLoopDelay: duration(
    'Limit of the average delay of the event loop. While the delay is longer, scopegate accepts a smaller and smaller share of requests, and the others get 503 with Retry-After. 0s means no limit.',
    '200ms',
  ),
  maxStreams: integer(
    'Limit of requests at once on one HTTP/2 connection. Clients may choose HTTP/2 over TLS; 0 offers only HTTP/1.1.',
    100,
    0,
    10_000,
  ),
  clientShare: section(
    'Limits for each client. scopegate refuses what exceeds them. Off by default, because all clients behind a load balancer that trustedProxies does not name have one address. scopegate tells clients apart by their IPv4 address or IPv6 /64 network.',
    {
      connections: integer(
        'Limit of connections of one client; 0 means no limit. Trusted proxies have no limit.',
        0,
      ),
      inFlight: integer('Limit of requests in flight of one client. One more gets 429. 0 means no limit.', 0),
      longExchanges: integer(
        'Limit of long exchanges (forward.longExchanges) of one client. One more gets 429. 0 means no limit.',
        0,
      ),
    },
  ),
  drainGrace: duration(
    'How long open connections may still send a request at shutdown. scopegate answers it with Connection: close. After that it closes idle connections. It does not wait if no connection is open.',
    '1s',
  ),
  drainTimeout: duration('How long requests in flight may take to end at shutdown.', '30s'),
});
