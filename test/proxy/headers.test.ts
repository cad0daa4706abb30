import t from 'tap';
import { readFields } from '../../src/parse/fields.js';
import { createIdentityFilter } from '../../src/proxy/identity-headers.js';
import { requestFields } from '../../src/proxy/request-headers.js';
import { type Scope, startTestGateway, type TestGateway, type TestGatewayOptions } from '../gateway.js';
import type { Received } from '../upstream.js';
import { sendRaw, type WireAnswer } from '../wire.js';
import { converse, FORWARD_RULES, request, startRawUpstream } from './raw.js';

const TRUSTING = { settings: { trustedProxies: ['127.0.0.0/8'] } };
const START: TestGatewayOptions = { rules: FORWARD_RULES };

/** Sends one request and returns what the upstream got of it. */
async function forwarded(gate: TestGateway, bytes: string): Promise<Received> {
  gate.upstream.received.length = 0;
  await sendRaw(gate.port, bytes);
  const [got] = gate.upstream.received;
  if (got === undefined) throw new Error('nothing reached the upstream');
  return got;
}

function namesOf(got: Received): string[] {
  return got.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
}

/** What the client gets when the upstream sends these fields. */
async function answered(
  t: Scope,
  fields: readonly string[],
  status = '200 OK',
  body = 'hi',
): Promise<WireAnswer> {
  const raw = await startRawUpstream(t, (socket) => {
    socket.end([`HTTP/1.1 ${status}`, ...fields, '', body].join('\r\n'), 'latin1');
  });
  const gate = await startTestGateway(t, { ...START, upstreamUrl: raw.url });
  const { answers } = await sendRaw(gate.port, request('GET /'));
  const [answer] = answers;
  if (answer === undefined) throw new Error('no answer');
  return answer;
}

t.test('R9110-01 fields named in Connection stay on their connection, both ways', async (t) => {
  const gate = await startTestGateway(t, START);
  const got = await forwarded(
    gate,
    request('GET /', ['Connection: a, keep-alive', 'Connection:  B ,,', 'A: 1', 'b: 2', 'C: 3']),
  );
  t.same(
    namesOf(got).filter((name) => ['a', 'b', 'c'].includes(name)),
    ['c'],
  );
  const answer = await answered(t, ['Connection: a, B', 'A: 1', 'b: 2', 'C: 3', 'Content-Length: 2']);
  t.notOk(answer.headers.has('a'));
  t.notOk(answer.headers.has('b'));
  t.same(answer.headers.get('c'), ['3']);
});

t.test('R9110-02 hop-by-hop fields are removed, named in Connection or not', async (t) => {
  const gate = await startTestGateway(t, START);
  const got = await forwarded(
    gate,
    request('GET /', [
      'Proxy-Connection: keep-alive',
      'Keep-Alive: timeout=5',
      'TE: trailers',
      'Trailer: X-T',
      'Upgrade: h2c',
      'Proxy-Authorization: Basic eDp5',
      'Proxy-Authenticate: Basic',
      'X-Kept: yes',
    ]),
  );
  t.notMatch(namesOf(got).join(' '), /proxy-|keep-alive|\bte\b|trailer|upgrade/);
  t.equal(got.headers['x-kept'], 'yes');
  const answer = await answered(t, [
    'Keep-Alive: timeout=5, max=9',
    'Proxy-Connection: close',
    'Proxy-Authenticate: Basic',
    'Proxy-Authentication-Info: x',
    'Upgrade: h2c',
    'TE: trailers',
    'X-Kept: yes',
    'Content-Length: 2',
  ]);
  t.notMatch([...answer.headers.keys()].join(' '), /proxy-|\bte\b|upgrade/);
  t.notMatch(answer.headers.get('keep-alive')?.join(), /max=9/);
  t.same(answer.headers.get('x-kept'), ['yes']);
});

t.test(
  'R9110-03 Connection strips nothing that the gateway itself states, and decides nothing',
  async (t) => {
    const gate = await startTestGateway(t, START);
    const options = 'x-forwarded-for, x-forwarded-host, forwarded, via, host, content-length, x-request-id';
    const got = await forwarded(
      gate,
      request('POST /', [`Connection: ${options}`, 'Content-Length: 5', 'X-Forwarded-For: 6.6.6.6'], 'hello'),
    );
    t.equal(got.headers['x-forwarded-for'], '127.0.0.1');
    t.equal(got.headers['x-forwarded-host'], 'gate.example');
    t.match(got.headers.forwarded, /^for=127\.0\.0\.1;/);
    t.match(got.headers.via, /^1\.1 scopegate-/);
    t.equal(got.headers.host, new URL(gate.upstream.url).host);
    t.equal(got.headers['content-length'], '5');
    t.equal(got.body.toString(), 'hello');

    const guarded = await forwarded(
      gate,
      request('GET /guarded/a', ['Connection: authorization', 'Authorization: Bearer good-read']),
    );
    t.equal(guarded.headers.authorization, 'Bearer good-read', 'what the decision rests on stays');
  },
);

t.test('R9110-04 the gateway appends itself to Via', async (t) => {
  const gate = await startTestGateway(t, START);
  t.match((await forwarded(gate, request('GET /'))).headers.via, /^1\.1 scopegate-[0-9a-f]{6}$/);
  const got = await forwarded(gate, request('GET /', ['Via: 1.0 fred', 'Via: 1.1 p.example (Apache/1.1)']));
  t.match(got.headers.via, /^1\.0 fred, 1\.1 p\.example \(Apache\/1\.1\), 1\.1 scopegate-/);
  const old = await forwarded(gate, 'GET / HTTP/1.0\r\nHost: gate.example\r\n\r\n');
  t.match(old.headers.via, /^1\.0 scopegate-/);
});

t.test('R9110-05 OPTIONS with Max-Forwards', async (t) => {
  const gate = await startTestGateway(t, START);
  const { answers } = await sendRaw(gate.port, request('OPTIONS /', ['Max-Forwards: 0']));
  t.equal(answers[0]?.status, 204, '0 is answered here');
  t.equal(gate.upstream.received.length, 0);
  t.equal((await forwarded(gate, request('OPTIONS /', ['Max-Forwards: 1']))).headers['max-forwards'], '0');
  t.equal((await forwarded(gate, request('OPTIONS /', ['Max-Forwards: 70']))).headers['max-forwards'], '69');
  t.equal((await forwarded(gate, request('OPTIONS /', ['Max-Forwards: x']))).headers['max-forwards'], 'x');
  const refused = await sendRaw(gate.port, request('OPTIONS /guarded/a', ['Max-Forwards: 0']));
  t.not(refused.answers[0]?.status, 200, 'the decision comes first');
});

t.test('R9110-06 Max-Forwards of other methods passes unchanged', async (t) => {
  const gate = await startTestGateway(t, START);
  t.equal((await forwarded(gate, request('GET /', ['Max-Forwards: 0']))).headers['max-forwards'], '0');
  t.equal(
    (await forwarded(gate, request('POST /', ['Max-Forwards: 3', 'Content-Length: 0']))).headers[
      'max-forwards'
    ],
    '3',
  );
});

t.test('R9110-07 a loop is detected by the own name in Via, and any circle by its length', async (t) => {
  const gate = await startTestGateway(t, START);
  const via = (await forwarded(gate, request('GET /'))).headers.via as string;
  gate.upstream.received.length = 0;
  const own = await sendRaw(gate.port, request('GET /', [`Via: 1.1 other, ${via}, 1.1 third`]));
  t.equal(own.answers[0]?.status, 508);
  const long = await sendRaw(gate.port, request('GET /', [`Via: ${Array(40).fill('1.1 other').join(', ')}`]));
  t.equal(long.answers[0]?.status, 508);
  t.equal(gate.upstream.received.length, 0);
});

t.test('R9110-15 R9112-24 trailers are never merged into the header', async (t) => {
  const gate = await startTestGateway(t, START);
  const got = await forwarded(
    gate,
    request(
      'POST /',
      ['Transfer-Encoding: chunked', 'Trailer: X-User, Authorization'],
      '5\r\nhello\r\n0\r\nX-User: root\r\nAuthorization: Bearer good-admin\r\nHost: evil\r\n\r\n',
    ),
  );
  t.equal(got.body.toString(), 'hello');
  t.notMatch(got.rawHeaders.join('\n'), /root|good-admin|evil/);
  t.same(got.message.trailers, {}, 'trailers of a request end here');

  const raw = await startRawUpstream(t, (socket) => {
    socket.write(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n' +
        '5\r\nhello\r\n0\r\nX-Sum: 5d41\r\nSet-Cookie: a=b\r\nX-Unannounced: 1\r\n\r\n',
    );
  });
  const open = await startTestGateway(t, { ...START, upstreamUrl: raw.url });
  const heard = (await converse(open.port, request('GET /', ['Connection: close']))).raw;
  t.match(heard, /\r\ntrailer: x-sum\r\n/i);
  t.match(heard, /\r\n0\r\nX-Sum: 5d41\r\n\r\n$/);
  t.notMatch(heard, /set-cookie|unannounced|content-length/i);
  const old = (await converse(open.port, 'GET / HTTP/1.0\r\nHost: gate.example\r\n\r\n')).raw;
  t.match(old, /\r\n\r\nhello$/, 'an HTTP/1.0 client gets none');
});

t.test('R9110-18 exactly one Host, of the upstream or of the request', async (t) => {
  const own = await startTestGateway(t, START);
  const got = await forwarded(own, request('GET /'));
  t.same(
    namesOf(got).filter((name) => name === 'host'),
    ['host'],
  );
  t.equal(got.headers.host, new URL(own.upstream.url).host);
  t.equal(got.headers['x-forwarded-host'], 'gate.example');
  const kept = await startTestGateway(t, { ...START, settings: { forward: { host: 'preserve' } } });
  const preserved = await forwarded(kept, request('GET /').replace('gate.example', 'GATE.example:4455'));
  t.equal(preserved.headers.host, 'GATE.example:4455');
  t.equal(preserved.headers['x-forwarded-host'], 'GATE.example:4455');
});

t.test('R9110-23 repeated fields keep their order; Set-Cookie is never joined', async (t) => {
  const gate = await startTestGateway(t, START);
  const got = await forwarded(gate, request('GET /', ['X-A: 1', 'Accept: b', 'x-a: 2', 'X-A: 3']));
  t.same(
    got.rawHeaders.filter((_, i) => i % 2 === 1 && /^x-a$/i.test(got.rawHeaders[i - 1] as string)),
    ['1', '2', '3'],
  );
  const answer = await answered(t, [
    'Set-Cookie: a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT',
    'X-B: 1',
    'Set-Cookie: b=2',
    'X-B: 2',
    'set-cookie: a=3',
    'Content-Length: 2',
  ]);
  t.same(answer.headers.get('set-cookie'), ['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT', 'b=2', 'a=3']);
  t.same(answer.headers.get('x-b'), ['1', '2']);
});

t.test('bytes beyond ASCII in a value arrive as they left', async (t) => {
  const gate = await startTestGateway(t, START);
  gate.upstream.received.length = 0;
  await sendRaw(gate.port, Buffer.from(request('GET /', ['X-Name: J\xfcrgen']), 'latin1'));
  t.equal(gate.upstream.received[0]?.headers['x-name'], 'J\xfcrgen');
  const answer = await answered(t, ['X-Name: J\xfcrgen', 'Content-Length: 2']);
  t.same(answer.headers.get('x-name'), ['J\xfcrgen']);
});

t.test('exactly one Authorization goes upstream, as it came', async (t) => {
  const gate = await startTestGateway(t, START);
  const got = await forwarded(gate, request('GET /guarded/a', ['aUTHORIZATION: bearer  good-read']));
  t.same(
    namesOf(got).filter((name) => name === 'authorization'),
    ['authorization'],
  );
  t.equal(got.headers.authorization, 'bearer  good-read');
  const twice = await sendRaw(
    gate.port,
    request('GET /', ['Authorization: Bearer good-read', 'Authorization: Bearer other']),
  );
  t.equal(twice.answers[0]?.status, 400);
});

t.test('R7239-01 an untrusted peer states nothing about where a request came from', async (t) => {
  const gate = await startTestGateway(t, START);
  const got = await forwarded(
    gate,
    request('GET /', [
      'Forwarded: for=6.6.6.6;host=evil.example;proto=https',
      'forwarded: for=7.7.7.7',
      'X-Forwarded-For: 6.6.6.6',
      'X-FORWARDED-FOR: 7.7.7.7',
      'X_Forwarded_For: 8.8.8.8',
      'X-Forwarded-Host: evil.example',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Port: 443',
      'X-Forwarded-Prefix: /evil',
      'X-Forwarded-User: root',
      'X-Real-IP: 6.6.6.6',
      'X-Request-Id: evil',
    ]),
  );
  t.notMatch(got.rawHeaders.join('\n'), /evil|root|\b[678]\.|\b443\b|https/);
  t.equal(got.headers['x-forwarded-for'], '127.0.0.1');
  t.equal(got.headers['x-forwarded-proto'], 'http');
  t.equal(got.headers['x-forwarded-host'], 'gate.example');
  t.equal(got.headers.forwarded, 'for=127.0.0.1;host=gate.example;proto=http');
  t.match(got.headers['x-request-id'], /^[0-9a-f-]{36}$/);
});

t.test('R7239-02 behind a trusted proxy the own element is appended', async (t) => {
  const gate = await startTestGateway(t, { ...START, ...TRUSTING });
  const got = await forwarded(
    gate,
    request('GET /', [
      'Forwarded: for=192.0.2.1;proto=https',
      'Forwarded: for=198.51.100.7',
      'X-Forwarded-For: 192.0.2.1',
      'X-Forwarded-For: 198.51.100.7',
      'X-Forwarded-Host: www.example',
      'X-Forwarded-Proto: https',
      'X-Request-Id: abc-1',
      'Connection: forwarded, x-forwarded-for',
    ]),
  );
  t.equal(
    got.headers.forwarded,
    'for=192.0.2.1;proto=https, for=198.51.100.7, for=127.0.0.1;host=gate.example;proto=http',
  );
  t.equal(got.headers['x-forwarded-for'], '192.0.2.1, 198.51.100.7, 127.0.0.1');
  t.equal(got.headers['x-forwarded-host'], 'www.example');
  t.equal(got.headers['x-forwarded-proto'], 'https');
  t.equal(got.headers['x-request-id'], 'abc-1');
});

t.test('R7239-03 an IPv6 address is quoted and bracketed, and so is a host with a port quoted', async (t) => {
  const fields = readFields(['Host', 'gate.example:8080'], '1.1');
  if ('refused' in fields) throw new Error(fields.refused);
  const sent = requestFields(fields, {
    peer: { address: '2001:db8::1', secure: true, trusted: false },
    identity: createIdentityFilter({ remove: [], keep: [] }),
    host: 'up.example',
    requestId: 'r',
    via: 'v',
    version: '1.1',
  }) as string[];
  t.equal(sent[sent.indexOf('forwarded') + 1], 'for="[2001:db8::1]";host="gate.example:8080";proto=https');
  t.equal(sent[sent.indexOf('x-forwarded-for') + 1], '2001:db8::1');
});

t.test('R7239-04 the address in the log is the connection’s, never what a field says', async (t) => {
  const gate = await startTestGateway(t, { ...START, ...TRUSTING });
  await forwarded(gate, request('GET /', ['X-Forwarded-For: 192.0.2.1', 'Forwarded: for=192.0.2.1']));
  t.match(
    gate.log.filter((line) => 'decision' in line).map((line) => line.peer),
    ['127.0.0.1'],
  );
});

t.test('R7239-05 X-Forwarded-* and X-Original-* decide nothing', async (t) => {
  for (const settings of [{}, TRUSTING.settings]) {
    const gate = await startTestGateway(t, { ...START, settings });
    const { answers } = await sendRaw(
      gate.port,
      request('GET /guarded/a', [
        'X-Forwarded-Method: OPTIONS',
        'X-Forwarded-Uri: /open',
        'X-Forwarded-Host: other.example',
        'X-Forwarded-Proto: https',
        'X-Original-URL: /open',
        'X-Rewrite-URL: /open',
        'X-HTTP-Method-Override: OPTIONS',
      ]),
    );
    t.equal(answers[0]?.status, 401);
    t.equal(gate.upstream.received.length, 0);
  }
});

t.test('R9700-03 a client’s copies of what the gateway states never pass, in no spelling', async (t) => {
  const gate = await startTestGateway(t, START);
  const names = [
    'X-User',
    'x-USER',
    'X_User',
    'X-User-Id',
    'X_USER_ID',
    'X-Scope',
    'X-Scopes',
    'X-Roles',
    'X-Subject',
    'X-Client-Id',
    'X-Auth-Request-User',
    'X-Forwarded-User',
    'X-Forwarded-Groups',
    'X_Forwarded_For',
    'Remote-User',
    'Remote_User',
    'X-Remote-User',
    'X-Id-Token',
    'X-JWT-Payload',
    'X-Userinfo',
    'X-Credential-Identifier',
    'X-HTTP-Method-Override',
    'X-Method-Override',
    'X-Original-URL',
    'X-Rewrite-URL',
    'Any_Thing',
  ];
  for (const path of ['/', '/guarded/a']) {
    const got = await forwarded(
      gate,
      request(`GET ${path}`, [
        'Authorization: Bearer good-read',
        ...names.map((name) => `${name}: root`),
        'X-Mine: 1',
      ]),
    );
    t.notMatch(got.rawHeaders.join('\n'), /root/, path);
    t.equal(got.headers['x-mine'], '1');
  }
});
