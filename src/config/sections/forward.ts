import { TOKEN } from '../../parse/grammar.js';
import { choice, flag, integer, limit, text } from '../kinds.js';
import { section } from '../setting.js';
import { identityFields } from './identity-fields.js';
import { upstreamsTls } from './upstreams-tls.js';

/** `forward`: how requests are forwarded. Times are in milliseconds. */
export const forward = section('How requests are forwarded.', {
  timeout: limit(
    'Longest wait for the answer of an upstream to begin, where neither rule nor APIRule says.',
    '180s',
  ),
  connectTimeout: limit('Longest time to open a connection to an upstream.', '5s'),
  idleTimeout: limit('Longest time without a byte of a body, either way.', '60s'),
  maxBodyBytes: integer('Largest request body; 0 for no limit.', 0, 0, Number.MAX_SAFE_INTEGER),
  maxHeaderBytes: integer('Largest header section of a request.', 16_384, 1024, 1_048_576),
  maxResponseHeaderBytes: integer(
    'Largest head of an answer of an upstream; a larger one is answered 502.',
    65_536,
    1024,
    1_048_576,
  ),
  maxTargetBytes: integer('Longest request target.', 8192, 64, 1_048_576),
  host: choice(
    'Host that the upstream gets: its own (upstream) or that of the request (preserve).',
    ['upstream', 'preserve'],
    'upstream',
  ),
  fieldEncoding: choice(
    'How characters outside of ASCII stand in what mutators set, and in the identity fields of forward-auth: utf-8, percent (percent-encoded UTF-8), or refuse (500).',
    ['utf-8', 'percent', 'refuse'],
    'utf-8',
  ),
  webSockets: flag('Forward WebSocket handshakes; without it, an Upgrade is ignored.', true),
  webSocketMaxAge: limit('Longest life of a WebSocket: then both sides get a Close with 1008.', '1h'),
  via: text(
    'The name of the gateway in Via (RFC 9110 section 7.6.3), by which it knows a loop.',
    'scopegate',
  ).check((name, place) => {
    if (!TOKEN.test(name)) place.problem('must be a token (RFC 9110 section 5.6.2)');
  }),
  connections: integer(
    'Most connections to one upstream for requests that are soon over. One more waits for up to forward.queueTimeout.',
    256,
    1,
  ),
  queueTimeout: limit(
    'Longest wait for a connection to an upstream while all are busy; then the answer is 503 with Retry-After.',
    '2s',
  ),
  longExchanges: integer(
    'Most exchanges with one upstream that last, beside forward.connections: uploads larger than forward.requestBuffer, event streams, answers that go on, WebSockets.',
    1024,
    1,
  ),
  requestBuffer: integer(
    'How much of a request body is read before the request takes a connection to its upstream, in bytes. A body that is whole by then goes on as a short request.',
    65_536,
    1024,
    16_777_216,
  ),
  identityFields,
  tls: upstreamsTls,
});
