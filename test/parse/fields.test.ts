import t from 'tap';
import { type Fields, hasBody, readFields, singleField } from '../../src/parse/fields.js';

const HOST = ['Host', 'gate.example'];

/** Reads fields that are in order. */
function read(more: readonly string[], version = '1.1'): Fields {
  const fields = readFields([...HOST, ...more], version);
  if ('refused' in fields) throw new Error(fields.refused);
  return fields;
}

/** Why fields are refused; undefined where they are not. */
function refusal(more: readonly string[], version = '1.1'): string | undefined {
  const fields = readFields([...HOST, ...more], version);
  return 'refused' in fields ? fields.error : undefined;
}

t.test('what may stand once is refused where it stands twice, in whatever case', async (t) => {
  for (const name of ['Host', 'Authorization', 'Content-Length', 'Transfer-Encoding', 'Expect']) {
    const value =
      { 'Content-Length': '1', 'Transfer-Encoding': 'chunked', Expect: '100-continue' }[name] ?? 'x';
    const one = name === 'Host' ? [] : [name, value];
    t.equal(refusal(one), undefined, `one ${name}`);
    t.equal(refusal([...one, name.toUpperCase(), value]), 'malformed_request', `two of ${name}`);
  }
  t.equal(read(['Cookie', 'a=1', 'COOKIE', 'b=2']).cookie, 'a=1; b=2', 'cookies are joined');
});

t.test('a field name that an upstream may take for one that frames or authorizes is refused', async (t) => {
  for (const name of [
    'Content_Length',
    'transfer_encoding',
    'AUTHORIZATION_',
    'Proxy_Authorization',
    'host_',
  ]) {
    const imitates = !name.endsWith('_');
    t.equal(refusal([name, '1']), imitates ? 'malformed_request' : undefined, name);
  }
  t.equal(refusal(['X_User', '1']), undefined, 'others are left out later');
});

t.test('a length is up to fifteen digits, and nothing else', async (t) => {
  for (const [value, length] of [
    ['0', 0],
    ['5', 5],
    ['007', 7],
    ['999999999999999', 999_999_999_999_999],
    ['1000000000000000', undefined],
    ['5a', undefined],
    ['a5', undefined],
    ['-5', undefined],
    ['+5', undefined],
    ['5.0', undefined],
    ['0x5', undefined],
    ['5, 5', undefined],
    ['', undefined],
    [' 5', undefined],
  ] as const) {
    if (length === undefined) t.equal(refusal(['Content-Length', value]), 'malformed_request', value);
    else t.equal(read(['Content-Length', value]).contentLength, length);
  }
});

t.test('the one transfer coding is chunked, in HTTP/1.1, without a length', async (t) => {
  for (const value of ['chunked', 'Chunked', ' chunked', 'chunked\t']) {
    t.equal(read(['Transfer-Encoding', value]).chunked, true, value);
    t.equal(refusal(['Transfer-Encoding', value], '1.0'), 'malformed_request', `${value} in HTTP/1.0`);
    t.equal(refusal(['Transfer-Encoding', value, 'Content-Length', '1']), 'malformed_request');
    t.equal(refusal(['Content-Length', '1', 'Transfer-Encoding', value]), 'malformed_request');
  }
  for (const value of [
    'gzip',
    'gzip, chunked',
    'chunked, gzip',
    'chunked, chunked',
    '',
    'chun ked',
    'identity',
  ])
    t.equal(refusal(['Transfer-Encoding', value]), 'malformed_request', value);
});

t.test('a body follows where a length is not 0, or chunks are announced', async (t) => {
  t.equal(hasBody(read([])), false);
  t.equal(hasBody(read(['Content-Length', '0'])), false);
  t.equal(hasBody(read(['Content-Length', '1'])), true);
  t.equal(hasBody(read(['Transfer-Encoding', 'chunked'])), true);
});

t.test('an expectation is 100-continue, or refused; HTTP/1.0 has none', async (t) => {
  for (const value of ['100-continue', '100-Continue', ' 100-continue\t']) {
    t.equal(read(['Expect', value]).expectsContinue, true, value);
    t.equal(read(['Expect', value], '1.0').expectsContinue, false);
  }
  for (const value of ['100', '', '100-continue, x', '100 -continue'])
    t.equal(refusal(['Expect', value]), 'expectation_failed', value);
  t.equal(read(['Expect', 'x'], '1.0').expectsContinue, false);
  t.equal(read([]).expectsContinue, false);
});

t.test('connection options are read from every field, without blanks and case', async (t) => {
  t.equal(read([]).connection, undefined);
  t.same(read(['Connection', 'Close']).connection, ['close']);
  t.same(read(['Connection', ' keep-alive ,\tX-A\t,,', 'connection', 'te st']).connection, [
    'keep-alive',
    'x-a',
    'te st',
  ]);
});

t.test('there may be 500 fields', async (t) => {
  const fields = (count: number) => Array.from({ length: count }, (_, i) => [`X-${i}`, '1']).flat();
  t.equal(refusal(fields(499)), undefined);
  t.equal(refusal(fields(500)), 'headers_too_large');
});

t.test('fields of HTTP/2: pseudo fields apart, one host, and nothing of HTTP/1.1', async (t) => {
  const pseudo = [':method', 'GET', ':scheme', 'https', ':authority', 'gate.example', ':path', '/'];
  const h2 = (more: readonly string[]) => readFields([...pseudo, ...more], '2.0');
  t.match(h2(['x-a', '1']), { host: 'gate.example', raw: ['x-a', '1'], names: ['x-a'] });
  t.match(h2(['host', 'GATE.example']), { host: 'gate.example' });
  t.match(h2(['host', 'other.example']), { error: 'malformed_request', refused: /two hosts/ });
  t.match(readFields(['host', 'gate.example'], '2.0'), { host: 'gate.example' }, 'Host alone');
  for (const name of ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])
    t.match(h2([name, 'x']), { error: 'malformed_request' }, name);
  t.match(h2(['te', 'trailers']), { names: ['te'] });
  t.match(h2(['te', 'gzip']), { error: 'malformed_request' });
  t.match(h2(['x-a', '1', 'te', 'trailers, gzip']), { error: 'malformed_request' });
});

t.test('a field that may stand once: its value, or that it is absent, or stands twice', async (t) => {
  const fields = read(['X-A', '1', 'X-B', '2', 'x-a', '3', 'X-C', '']);
  t.equal(singleField(fields, 'x-a'), null);
  t.equal(singleField(fields, 'x-b'), '2');
  t.equal(singleField(fields, 'x-c'), '');
  t.equal(singleField(fields, 'x-d'), undefined);
  t.equal(singleField(fields, 'host'), 'gate.example');
  t.equal(singleField(read(['X-A', '1', 'X-A', '1']), 'x-a'), null, 'one right behind the other');
});
