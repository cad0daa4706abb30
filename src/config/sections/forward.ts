import { TOKEN } from '../../parse/grammar.js';
import { choice, flag, integer, limit, text } from '../kinds.js';
import { section } from '../setting.js';
import { identityFields } from './identity-fields.js';
import { upstreamsTls } from './upstreams-tls.js';

/** `forward`: how requests are forwarded. Times are in milliseconds. */
export const forward = section('How scopegate forwards requests.', {
  timeout: limit(
    'Timeout for the start of the response of an upstream, if neither the rule nor the APIRule sets one.',
    '180s',
  ),
  connectTimeout: limit('Timeout for opening a connection to an upstream.', '5s'),
  idleTimeout: limit('Timeout for the next byte of a request or response body.', '60s'),
  maxBodyBytes: integer(
    'Size limit of a request body, in bytes; 0 means no limit.',
    0,
    0,
    Number.MAX_SAFE_INTEGER,
  ),
  maxHeaderBytes: integer(
    'Size limit of the header section of a request, in bytes.',
    16_384,
    1024,
    1_048_576,
  ),
  maxResponseHeaderBytes: integer(
    'Size limit of the head of an upstream response, in bytes. A larger one becomes 502.',
    65_536,
    1024,
    1_048_576,
  ),
  maxTargetBytes: integer('Length limit of the request target, in bytes.', 8192, 64, 1_048_576),
  host: choice(
    'Host that scopegate sends to the upstream: its own (upstream) or that of the request (preserve).',
    ['upstream', 'preserve'],
    'upstream',
  ),
  fieldEncoding: choice(
    'How scopegate sends characters outside of ASCII in fields of mutators and in the identity fields of forward-auth: utf-8, percent (percent-encoded UTF-8), or refuse (500).',
    ['utf-8', 'percent', 'refuse'],
    'utf-8',
  ),
  webSockets: flag('Forward WebSocket handshakes. If false, scopegate ignores the Upgrade field.', true),
  webSocketMaxAge: limit(
    'Maximum duration of a WebSocket. After that, scopegate sends both sides a Close with 1008.',
    '1h',
  ),
  via: text(
    'The name of scopegate in Via (RFC 9110 section 7.6.3). scopegate detects loops by it.',
    'scopegate',
  ).check((name, place) => {
    if (!TOKEN.test(name)) place.problem('must be a token (RFC 9110 section 5.6.2)');
  }),
  connections: integer(
    'Limit of connections to one upstream for short requests. Further requests wait for up to forward.queueTimeout.',
    256,
    1,
  ),
  queueTimeout: limit(
    'How long a request waits for a connection to an upstream while all are busy. After that it gets 503 with Retry-After.',
    '2s',
  ),
  longExchanges: integer(
    'Limit of long exchanges with one upstream, in addition to forward.connections: uploads larger than forward.requestBuffer, event streams, long responses, WebSockets.',
    1024,
    1,
  ),
  requestBuffer: integer(
    'How much of a request body scopegate reads before the request takes a connection to its upstream, in bytes. A request whose body is complete by then is a short request.',
    65_536,
    1024,
    16_777_216,
  ),
  identityFields,
  tls: upstreamsTls,
});
