import { duration, integer, limit } from '../kinds.js';
import { section } from '../setting.js';

/** `server`: limits on clients. Times are in milliseconds. */
export const server = section('Limits on clients.', {
  headersTimeout: limit('Longest time for the header section of a request to arrive.', '10s'),
  keepAliveTimeout: limit('Longest time an idle connection stays open.', '65s'),
  bodyIdleTimeout: limit('Longest time without a byte of a request body.', '30s'),
  minBodyRate: integer(
    'Least rate of a request body on average, in bytes a second, after 5 s; a slower one is answered 408. 0 for any.',
    240,
  ),
  pipelining: integer(
    'Most requests of one HTTP/1.1 connection at work at once. What a client sends before they are answered waits.',
    1,
    1,
    1024,
  ),
  maxConnections: integer('Most connections at once; 0 for no limit.', 0),
  maxInFlight: integer(
    'Most requests in flight at once, forward-auth included; one more is answered 503 with Retry-After. Those whose body is still being read and those that last (forward.longExchanges) do not count. 0 for no limit.',
    4096,
  ),
  maxEventLoopDelay: duration(
    'How late the event loop may be on average: where it stays later, a falling share of requests is let in and the others are answered 503 with Retry-After. 0s for any.',
    '200ms',
  ),
  maxStreams: integer(
    'Most requests at once on one HTTP/2 connection, which clients may choose over TLS; 0 offers HTTP/1.1 alone.',
    100,
    0,
    10_000,
  ),
  clientShare: section(
    'How much one client may have at once; one more is refused. Off by default: behind a load balancer that trustedProxies does not name, all clients have one address. Clients are told apart by address, of IPv6 by network of 64 bits.',
    {
      connections: integer('Most connections of one client; 0 for no limit. Trusted proxies have none.', 0),
      inFlight: integer(
        'Most requests of one client in flight; one more is answered 429. 0 for no limit.',
        0,
      ),
      longExchanges: integer(
        'Most exchanges of one client that last (forward.longExchanges); one more is answered 429. 0 for no limit.',
        0,
      ),
    },
  ),
  drainGrace: duration(
    'How long open connections may still bring a request at shutdown, which is answered with Connection: close; then idle ones are closed. It ends when none is open.',
    '1s',
  ),
  drainTimeout: duration('Longest time for requests in flight to end at shutdown.', '30s'),
});
