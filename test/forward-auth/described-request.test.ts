import t from 'tap';
import { type Form, readDescribedRequest } from '../../src/forward-auth/described-request.js';
import { identityHeaders } from '../../src/forward-auth/user-headers.js';
import type { Subject } from '../../src/model/strategy.js';
import { readFields } from '../../src/parse/fields.js';

type Call = readonly [line: string, ...fields: string[]];

/** Reads the request that a call describes: method, URL without its port, or why it is refused. */
function read([line, ...lines]: Call, form: Form | 'any' = 'any', most = 100): string {
  const [method = '', rest = ''] = line.split(' ');
  const raw = lines.flatMap((text) => {
    const [name = '', ...value] = text.split(': ');
    return [name, value.join(': ')];
  });
  const fields = readFields(raw, '1.0');
  if ('refused' in fields) throw new Error(fields.refused);
  const read = readDescribedRequest({ method, rest, fields }, form, most);
  if ('refused' in read) return `${read.error}: ${read.refused}`;
  const { path, query, host, asSent } = read.target;
  return `${read.method} ${read.scheme}://${host}${asSent ?? path}${query} for ${read.fields.host}`;
}

const FORWARDED = [
  'GET ',
  'Host: asked.example',
  'X-Forwarded-Method: PUT',
  'X-Forwarded-Host: gate.example:8443',
  'X-Forwarded-Uri: /a?b=/c',
] as const;
const ORIGINAL = ['GET ', 'Host: asked.example', 'X-Original-Method: PUT'] as const;

t.test('each way to describe a request tells its method, host, target and scheme', (t) => {
  const forwarded = 'PUT http://gate.example/a?b=/c for gate.example:8443';
  for (const [call, expected] of [
    [FORWARDED, forwarded],
    [['GET ?q=1', ...FORWARDED.slice(1)], forwarded],
    [['GET ?q=/1', ...FORWARDED.slice(1)], forwarded],
    [[...FORWARDED, 'X-Forwarded-Proto: https'], forwarded.replace('http:', 'https:')],
    [[...FORWARDED, 'X-Forwarded-Proto: wss, https'], forwarded.replace('http:', 'https:')],
    [[...ORIGINAL, 'X-Original-URI: /a?b'], 'PUT http://asked.example/a?b for asked.example'],
    [
      ['GET ?q=/1', ...ORIGINAL.slice(1), 'X-Original-URI: /a'],
      'PUT http://asked.example/a for asked.example',
    ],
    [
      [...ORIGINAL, 'X-Original-URI: /a', 'X-Original-Host: gate.example'],
      'PUT http://gate.example/a for gate.example',
    ],
    [
      [...ORIGINAL, 'X-Original-URL: HTTPS://gate.example:8443/a?b'],
      'PUT https://gate.example/a?b for gate.example:8443',
    ],
    [
      [...ORIGINAL, 'X-Original-URL: http://gate.example/a', 'X-Forwarded-Proto: https'],
      'PUT http://gate.example/a for gate.example',
    ],
    [[...ORIGINAL, 'X-Original-URL: http://gate.example?b'], 'PUT http://gate.example/?b for gate.example'],
    [
      [...ORIGINAL, 'X-Original-URL: http://gate.example?b=/'],
      'PUT http://gate.example/?b=/ for gate.example',
    ],
    [
      [
        ...ORIGINAL,
        'X-Original-URL: http://gate.example:80/a',
        'X-Original-URI: /a',
        'X-Original-Host: Gate.example',
      ],
      'PUT http://gate.example/a for gate.example:80',
    ],
    [['PUT /a?b', 'Host: gate.example'], 'PUT http://gate.example/a?b for gate.example'],
    [
      ['PUT /a', 'Host: gate.example', 'X-Forwarded-Host: gate.example:443', 'X-Forwarded-Proto: https'],
      'PUT https://gate.example/a for gate.example',
    ],
    [
      ['X'.repeat(32).concat(' /a'), 'Host: gate.example'],
      `${'X'.repeat(32)} http://gate.example/a for gate.example`,
    ],
    [['GET /'.padEnd(104, 'a'), 'Host: a'], `GET http://a${'/'.padEnd(100, 'a')} for a`],
  ] as const) {
    t.equal(read(call as Call), expected, call.join(' | '));
  }
  t.end();
});

t.test('what describes no single request is refused, and the reason says which part', (t) => {
  const more = /^malformed_request: .*more than one form$/;
  const without = (name: string): Call =>
    FORWARDED.filter((line) => !line.startsWith(name)) as unknown as Call;
  for (const [call, expected] of [
    [['GET ', 'Host: a'], /^malformed_request: .*describes no request: send X-Forwarded-Method/],
    [['GET ?a=/b', 'Host: a'], /describes no request/],
    [['GET ', 'Host: a', 'X-Forwarded-Host: gate.example'], /describes no request/],
    [without('X-Forwarded-Method'), /^malformed_request: X-Forwarded-Method is missing$/],
    [without('X-Forwarded-Host'), /^malformed_request: X-Forwarded-Host is missing$/],
    [without('X-Forwarded-Uri'), /^malformed_request: X-Forwarded-Uri is missing$/],
    [
      [...FORWARDED, 'X-Forwarded-Method: PUT'],
      /^malformed_request: X-Forwarded-Method is given more than once$/,
    ],
    [[...FORWARDED, 'X-Forwarded-Host: b'], /X-Forwarded-Host is given more than once$/],
    [[...FORWARDED, 'X-Forwarded-Uri: /b'], /X-Forwarded-Uri is given more than once$/],
    [[...FORWARDED, 'X-Forwarded-Proto: http, https'], /^malformed_request: X-Forwarded-Proto must be one/],
    [['GET /a', ...FORWARDED.slice(1)], more],
    [['GET /a', ...ORIGINAL.slice(1), 'X-Original-URI: /a'], more],
    [[...FORWARDED, 'X-Original-Host: gate.example'], more],
    [[...FORWARDED, 'X-Original-Method: PUT'], more],
    [[...FORWARDED, 'X-Original-URL: http://gate.example/a'], more],
    [[...FORWARDED, 'X-Original-URI: /a'], more],
    [['GET ', 'X-Forwarded-Method: PUT', ...ORIGINAL.slice(1)], more],
    [['GET ', 'X-Forwarded-Uri: /a', ...ORIGINAL.slice(1)], more],
    [ORIGINAL, /X-Original-URL and X-Original-URI are both missing$/],
    [['GET ', 'Host: a', 'X-Original-URI: /a'], /X-Original-Method is missing$/],
    [
      [...ORIGINAL, 'X-Original-Method: PUT', 'X-Original-URI: /a'],
      /X-Original-Method is given more than once$/,
    ],
    [[...ORIGINAL, 'X-Original-URI: /a', 'X-Original-URI: /a'], /X-Original-URI is given more than once$/],
    [
      [...ORIGINAL, 'X-Original-URI: /a', 'X-Original-Host: a', 'X-Original-Host: a'],
      /X-Original-Host is given more than once$/,
    ],
    [
      [...ORIGINAL, 'X-Original-URL: http://a/', 'X-Original-URL: http://a/'],
      /X-Original-URL is given more than once$/,
    ],
    [[...ORIGINAL, 'X-Original-URL: /a'], /must be an absolute http or https URL$/],
    [[...ORIGINAL, 'X-Original-URL: ftp://gate.example/a'], /must be an absolute/],
    [[...ORIGINAL, 'X-Original-URL: x-http://gate.example/a'], /must be an absolute/],
    [[...ORIGINAL, 'X-Original-URL: http://a/a', 'X-Original-URI: /b'], /X-Original-URI differ$/],
    [[...ORIGINAL, 'X-Original-URL: http://a/a', 'X-Original-Host: b'], /X-Original-Host differ$/],
    [[...ORIGINAL, 'X-Original-URL: http://a b/a', 'X-Original-Host: a b'], /X-Original-Host differ$/],
    [['GET ', 'X-Original-Method: GET', 'X-Original-URI: /a'], /^malformed_target: /],
    [['GET /a', 'Host: a', 'X-Forwarded-Host: b'], /^malformed_request: Host and X-Forwarded-Host differ$/],
    [
      ['GET /a', 'Host: a', 'X-Forwarded-Host: a', 'X-Forwarded-Host: a'],
      /X-Forwarded-Host is given more than once$/,
    ],
    [['GET /a'], /^malformed_target: /],
    [['G(T /a', 'Host: a'], /^malformed_request: the described method is malformed$/],
    [[`${'X'.repeat(33)} /a`, 'Host: a'], /^malformed_request: the described method is malformed$/],
    [['TRACE /a', 'Host: a'], /^method_refused: this gateway does not serve TRACE$/],
    [['CONNECT /a', 'Host: a'], /^method_refused: this gateway does not serve CONNECT$/],
    [['GET /'.padEnd(105, 'a'), 'Host: a'], /^target_too_long: the request target is too long$/],
    [[...ORIGINAL, 'X-Original-URI: a/b'], /^malformed_request: the described target is not a path$/],
    [['GET /a/../b', 'Host: a'], /^malformed_target: .*dot segments/],
  ] as const) {
    t.match(read(call as Call), expected, call.join(' | '));
  }
  t.end();
});

t.test('with one form in the settings, fields of the others that a client sends count for nothing', (t) => {
  const all = [
    ...FORWARDED,
    'X-Original-Method: POST',
    'X-Original-URL: http://original.example/o',
  ] as const satisfies Call;
  t.equal(read(all, 'forwarded'), 'PUT http://gate.example/a?b=/c for gate.example:8443');
  t.equal(read(all, 'original'), 'POST http://original.example/o for original.example');
  t.equal(read(['GET /r', ...all.slice(1)], 'request'), 'GET http://asked.example/r for asked.example');
  t.match(read(['GET /r', ...all.slice(1)], 'forwarded'), /more than one form$/);
  t.match(read(['GET /r', ...all.slice(1)], 'original'), /more than one form$/);
  t.match(read(all, 'request'), /the described target is not a path$/);
  t.end();
});

t.test('a proxy is told each claim in its field, and an empty field where there is none', (t) => {
  const fields = {
    'X-User': 'sub',
    'X-Scope': 'scope',
    'X-Client': 'client_id',
    'X-More': 'more',
    'X-Own': 'toString',
  };
  const told = (subject: Subject, encoding: Parameters<typeof identityHeaders>[2] = 'utf-8') =>
    identityHeaders(subject, fields, encoding);
  const REFUSED = 'the whole response is refused';
  const empty = ['X-User', '', 'X-Scope', '', 'X-Client', '', 'X-More', '', 'X-Own', ''];
  t.same(told({ subject: '' }), empty);
  t.same(
    told({ subject: '', claims: { sub: 'x', scope: 'x', client_id: 'x' } }),
    empty,
    'not from other claims',
  );
  t.same(told({ subject: 'a', scopes: ['r', 'w'], clientId: 'c', claims: { more: 0 } }), [
    ...['X-User', 'a', 'X-Scope', 'r w', 'X-Client', 'c', 'X-More', '0', 'X-Own', ''],
  ]);
  const more = (value: unknown, encoding?: Parameters<typeof identityHeaders>[2]) => {
    const headers = told({ subject: '', claims: { more: value } }, encoding);
    return headers === undefined ? REFUSED : headers[7];
  };
  for (const [value, expected, encoding] of [
    [true, 'true'],
    [null, ''],
    [{ a: 1 }, ''],
    [['a b', 'c%', 7, 'd'], 'a%20b c%25 d'],
    [['a b', 'c%', 7, 'd'], 'a%20b c%25 d', 'percent'],
    ['ü', '\xc3\xbc'],
    ['ü', REFUSED, 'refuse'],
    [['a', 'ü'], REFUSED, 'refuse'],
    [['a', 'b\n'], REFUSED],
    ['b\n', REFUSED],
  ] as const) {
    t.equal(more(value, encoding), expected, JSON.stringify([value, encoding]));
  }
  t.end();
});
