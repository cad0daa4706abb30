import t from 'tap';
import type { HeaderMutations } from '../../src/model/mutator.js';
import { readFields } from '../../src/parse/fields.js';
import { createIdentityFilter, plainName } from '../../src/proxy/identity-headers.js';
import { forwardsLeft, requestFields, type UpstreamHeaderContext } from '../../src/proxy/request-headers.js';
import { type Overlay, responseFields, trailerFields } from '../../src/proxy/response-headers.js';
import { readHead } from '../../src/proxy/upstream/response-head.js';

const nothing = { headers: new Set<string>(), cookies: new Set<string>() };
const identity = createIdentityFilter({ remove: [], keep: [] });
const direct = { address: '192.0.2.7', secure: false, trusted: false };
const proxy = { address: '10.0.0.1', secure: true, trusted: true };

function read(lines: readonly string[], version = '1.1') {
  const raw = ['Host: gate.example', ...lines].flatMap((line) => line.split(/: (.*)/s).slice(0, 2));
  const fields = readFields(raw, version);
  if ('refused' in fields) throw new Error(fields.refused);
  return fields;
}

/** What goes upstream, a line for each field, in order. */
function sent(lines: readonly string[], context: Partial<UpstreamHeaderContext> = {}): string[] | undefined {
  const { version = '1.1' } = context;
  const list = requestFields(read(lines, version), {
    peer: direct,
    identity,
    host: 'up.example',
    requestId: 'id',
    via: 'gate',
    version,
    ...context,
  });
  return list?.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${list[i + 1]}`] : []));
}

/** The same, of the fields with these names. */
function only(names: string, lines: readonly string[], context: Partial<UpstreamHeaderContext> = {}) {
  return sent(lines, context)?.filter((line) => names.split(' ').includes(line.split(':')[0] as string));
}

t.test('what the gateway states stands behind the client’s fields, once', async (t) => {
  const own = [
    'x-forwarded-for: 192.0.2.7',
    'x-forwarded-proto: http',
    'x-forwarded-host: gate.example',
    'forwarded: for=192.0.2.7;host=gate.example;proto=http',
    'via: 1.1 gate',
    'x-request-id: id',
  ];
  t.same(sent(['X-A: 1', 'Accept: */*']), ['host: up.example', 'x-a: 1', 'accept: */*', ...own]);
  t.same(
    sent([
      'X-Forwarded-For: 1.2.3.4',
      'X-Forwarded-Host: evil',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Port: 1',
      'Forwarded: for=1.2.3.4',
      'X-Request-Id: mine',
      'Expect: 100-continue',
      'Content-Length: 0',
      'TE: trailers',
    ]),
    ['host: up.example', ...own],
    'of a peer that is not trusted',
  );
});

t.test('a trusted proxy’s statements go on with the gateway’s behind them', async (t) => {
  t.same(
    sent(
      [
        'X-Forwarded-For: 1.2.3.4',
        'X-Forwarded-For: 5.6.7.8',
        'X-Forwarded-Host: site.example',
        'X-Forwarded-Proto: http',
        'X-Forwarded-Port: 81',
        'X-Forwarded-Prefix: /a',
        'X-Forwarded-User: eve',
        'Forwarded: for=1.2.3.4',
        'Forwarded: for=5.6.7.8',
        'Via: 1.1 a',
        'Via: 1.1 b',
      ],
      { peer: proxy },
    ),
    [
      'host: up.example',
      'x-forwarded-port: 81',
      'x-forwarded-prefix: /a',
      'x-forwarded-for: 1.2.3.4, 5.6.7.8, 10.0.0.1',
      'x-forwarded-proto: http',
      'x-forwarded-host: site.example',
      'forwarded: for=1.2.3.4, for=5.6.7.8, for=10.0.0.1;host=gate.example;proto=https',
      'via: 1.1 a, 1.1 b, 1.1 gate',
      'x-request-id: id',
    ],
  );
  t.same(only('x-forwarded-for x-forwarded-proto x-forwarded-host forwarded', [], { peer: proxy }), [
    'x-forwarded-for: 10.0.0.1',
    'x-forwarded-proto: https',
    'x-forwarded-host: gate.example',
    'forwarded: for=10.0.0.1;host=gate.example;proto=https',
  ]);
});

t.test('an address is written as RFC 7239 wants it', async (t) => {
  for (const [address, node] of [
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8::7', '"[2001:db8::7]"'],
    ['', 'unknown'],
  ] as const)
    t.same(only('forwarded', [], { peer: { ...direct, address } }), [
      `forwarded: for=${node};host=gate.example;proto=http`,
    ]);
});

t.test('a request that was here before, or at 32 proxies, goes in a circle', async (t) => {
  t.equal(sent(['Via: 1.1 a, 1.1 gate']), undefined);
  t.equal(sent(['Via: 1.1 a', 'Via: 1.1  gate (x)']), undefined);
  t.ok(sent(['Via: 1.1 gates, gate 1.1']));
  t.ok(sent([`Via: ${Array(32).fill('1.1 a').join(',')}`]));
  t.equal(sent([`Via: ${Array(33).fill('1.1 a').join(',')}`]), undefined);
});

t.test('trace fields are the client’s, or the gateway’s in place of both', async (t) => {
  const lines = ['traceparent: 00-a', 'tracestate: b', 'x-a: 1'];
  t.same(only('traceparent tracestate', lines), lines.slice(0, 2));
  t.same(only('traceparent tracestate', lines, { trace: ['traceparent', '00-c'] }), ['traceparent: 00-c']);
});

t.test('Connection takes away what it names, but nothing that decides', async (t) => {
  t.same(
    only('x-a x-b authorization cookie content-type', [
      'Connection: x-a, authorization, cookie, content-type',
      'X-A: 1',
      'X-B: 2',
      'Authorization: Bearer t',
      'Cookie: a=1',
      'Content-Type: a/b',
    ]),
    ['x-b: 2', 'authorization: Bearer t', 'cookie: a=1', 'content-type: a/b'],
  );
});

t.test('what mutators write, and what the decision removes, does not come from the client', async (t) => {
  const mutations: HeaderMutations = {
    headers: [['x-user', 'alice']],
    cookies: [['session', 's']],
    replaced: { headers: new Set(['x-user']), cookies: new Set(['session']) },
  } as never;
  const lines = ['X-User: eve', 'X.User: eve', 'X-A: 1', 'X-Token: t', 'Cookie: session=eve; b=2'];
  t.same(only('x-user x-a x-token cookie', lines, { mutations }), [
    'x-a: 1',
    'x-token: t',
    'cookie: b=2; session=s',
    'x-user: alice',
  ]);
  const reservedHeaders = { headers: new Set(['x-user']), cookies: new Set(['session']) };
  t.same(only('x-user x-a cookie', lines, { reservedHeaders }), ['x-a: 1', 'cookie: b=2']);
  t.same(
    only('x-a x-token cookie', lines, {
      removal: { headers: new Set(['x-token']), cookies: new Set(['b']) },
    }),
    ['x-a: 1', 'cookie: session=eve'],
  );
  t.same(only('cookie', lines, { removal: nothing }), ['cookie: session=eve; b=2']);
  t.same(only('cookie', ['Cookie: b=2'], { removal: { ...nothing, cookies: new Set(['b']) } }), []);
});

t.test('cookies of HTTP/2 are one field again', async (t) => {
  const split = ['cookie: a=1', 'cookie: b=2'];
  t.same(only('cookie', split, { version: '2.0' }), ['cookie: a=1; b=2']);
});

t.test('Max-Forwards counts for OPTIONS alone', async (t) => {
  for (const [method, lines, left] of [
    ['OPTIONS', ['Max-Forwards: 3'], 3],
    ['OPTIONS', ['Max-Forwards: 0'], 0],
    ['OPTIONS', ['Max-Forwards: a3'], undefined],
    ['OPTIONS', ['Max-Forwards: 3a'], undefined],
    ['OPTIONS', ['Max-Forwards: 1234567890'], undefined],
    ['OPTIONS', ['Max-Forwards: 3', 'Max-Forwards: 3'], undefined],
    ['OPTIONS', [], undefined],
    ['GET', ['Max-Forwards: 3'], undefined],
  ] as const)
    t.equal(forwardsLeft(method, read(lines)), left, `${method} ${lines}`);
  t.same(only('max-forwards', ['Max-Forwards: 3'], { maxForwards: 2 }), ['max-forwards: 2']);
  t.same(only('max-forwards', ['Max-Forwards: 3']), ['max-forwards: 3']);
});

/** What a client gets of an upstream's fields. */
function got(lines: readonly string[], overlay: Overlay = {}, status = 200) {
  const { fields, trailers, length } = responseFields(
    readHead([`HTTP/1.1 ${status} X`, ...lines].join('\r\n')),
    overlay,
  );
  const list = fields.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${fields[i + 1]}`] : []));
  return { fields: list, trailers, length };
}

t.test('of an upstream’s answer what belongs to its connection stays behind', async (t) => {
  t.same(
    got([
      'X-A: 1',
      'Connection: X-B, close',
      'Connection: x-c',
      'X-B: 2',
      'X-C: 3',
      'X-A: 4',
      'Keep-Alive: timeout=5',
    ]).fields,
    ['X-A: 1', 'X-A: 4'],
  );
  for (const option of ['close', 'keep-alive'])
    t.same(got([`Connection: ${option}`, 'X-A: 1', 'Close: 1']).fields, ['X-A: 1', 'Close: 1']);
});

t.test('a length is the gateway’s own, where a body may have one', async (t) => {
  const stated = ['Connection: content-length', 'Content-Length: 5'];
  for (const [status, length] of [
    [200, 5],
    [204, undefined],
    [205, 0],
    [304, undefined],
  ] as const)
    t.match(
      got(stated, {}, status),
      { length, fields: length === undefined ? [] : [`content-length: ${length}`] },
      `${status}`,
    );
  t.equal(got([]).length, undefined);
});

t.test('of a field that may stand once the first counts, and lists are joined', async (t) => {
  t.same(
    got([
      'ETag: "1"',
      'etag: "2"',
      'Content-Language: en',
      'X-A: content-language',
      'Content-Language: de',
      'content-language: de',
      'Set-Cookie: a',
      'Set-Cookie: a',
    ]).fields,
    ['ETag: "1"', 'Content-Language: en, de, de', 'X-A: content-language', 'Set-Cookie: a', 'Set-Cookie: a'],
  );
  t.same(got(['Content-Encoding: gzip', 'Content-Encoding: gzip']).fields, ['Content-Encoding: gzip']);
});

t.test('what the gateway has to say takes the place of the upstream’s', async (t) => {
  const lines = [
    'Access-Control-Allow-Origin: *',
    'Cache-Control: max-age=9',
    'DPoP-Nonce: theirs',
    'X-A: 1',
  ];
  t.same(got(lines).fields, lines);
  t.same(got(lines, { cors: ['access-control-allow-origin', 'https://a'] }).fields, [
    ...lines.slice(1),
    'access-control-allow-origin: https://a',
  ]);
  t.same(got(lines, { isPrivate: true }).fields, [lines[0], ...lines.slice(2), 'cache-control: private']);
  t.same(got(['Cache-Control: No-Store', 'Cache-Control: x'], { isPrivate: true }).fields, [
    'cache-control: private, no-store',
  ]);
  t.same(got(lines, { nonce: 'ours', isPrivate: true }).fields, [
    lines[0],
    lines[3],
    'dpop-nonce: ours',
    'cache-control: no-store',
  ]);
});

t.test('trailers are those that were announced and may be one', async (t) => {
  const announced = ['Trailer: X-Sum, Content-Length', 'trailer: x-more'];
  t.same(got(announced).trailers, ['x-sum', 'x-more']);
  t.same(got([...announced, 'Content-Length: 5']).trailers, []);
  t.same(got([]).trailers, []);
  t.same(trailerFields(['X-Sum', '1', 'X-B', '2', 'x-more', '3'], ['x-sum', 'x-more']), [
    ['X-Sum', '1'],
    ['x-more', '3'],
  ]);
  t.same(trailerFields(['X-Sum', '1', 'x-more', '3'], ['x-more']), [['x-more', '3']]);
  t.same(trailerFields([], ['x-sum']), []);
});

t.test('a name is plain as upstreams read it that make variables of names', async (t) => {
  for (const [name, plain] of [
    ['x-user', 'x-user'],
    ['x_user', 'x-user'],
    ['x.user', 'x-user'],
    ['az09-', 'az09-'],
    ['a`b', 'a-b'],
    ['a{b', 'a-b'],
    ['a/b', 'a-b'],
    ['a:b', 'a-b'],
    ['$wsis', '$wsis'],
    ['a$b', 'a-b'],
    ['$a_b', '$a-b'],
    ['', ''],
  ] as const)
    t.equal(plainName(name), plain, name);
});

t.test('the most specific pattern says whether a field is removed', async (t) => {
  const { judge } = createIdentityFilter({
    remove: ['X-Own-*', 'X-Ownership', 'Acc*', 'x-y*', 'Plain'],
    keep: ['X-Own-Public-*', 'X-Own-Public-Id_1', 'Acc-Ok*', 'X-Remote-User', 'x_kept'],
  });
  for (const [name, removed] of [
    ['x-own-a', true],
    ['x_own_a', true],
    ['x-own-public-a', false],
    ['x_own_public_a', true],
    ['x-own', false],
    ['x-ownership', true],
    ['x-ownerships', false],
    ['account', true],
    ['acc', true],
    ['acc-no', true],
    ['acc-ok-1', false],
    ['ac', false],
    ['x-yes', true],
    ['x-yes-no', true],
    ['plain', true],
    ['plainly', false],
    ['x-remote-user', false],
    ['x_remote_user', true],
    ['x-remote-group', true],
    ['remote-user', true],
    ['x_kept', false],
    ['x_any', true],
    ['x.any', false],
    ['accept', true],
    ['x-a', false],
  ] as const)
    for (const again of [1, 2]) t.equal(judge(name).removed, removed, `${name}, asked ${again}`);
});
