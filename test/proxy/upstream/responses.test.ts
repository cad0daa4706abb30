import t from 'tap';
import { keepsFraming, mayRepeat, writeHead } from '../../../src/proxy/upstream/request-head.js';
import { bodyOf } from '../../../src/proxy/upstream/response-body.js';
import { checkPartialHead, readHead } from '../../../src/proxy/upstream/response-head.js';

/** Reads a body in the pieces it comes in: what of it a client gets, and how many bytes were left over. */
function bodyIn(head: string, pieces: readonly string[], method = 'GET') {
  const body = bodyOf(readHead(`HTTP/1.1 200 OK${head}`), method);
  let text = '';
  let left = 0;
  for (const piece of pieces) {
    const bytes = Buffer.from(piece, 'latin1');
    const count = body.ended ? 0 : body.read(bytes, (part) => (text += part.toString('latin1')));
    left += bytes.length - count;
  }
  return { text, left, ended: body.ended, trailers: body.trailers };
}

t.test('a status line has a version 1.x, three digits, and perhaps a reason', async (t) => {
  for (const [line, status] of [
    ['HTTP/1.1 200 OK', 200],
    ['HTTP/1.1 599', 599],
    ['HTTP/1.0 404 ', 404],
    ['HTTP/1.1 200OK', undefined],
    ['HTTP/1.1 099 X', undefined],
    ['HTTP/1.1 20 X', undefined],
    ['HTTP/1.2 200 OK', undefined],
    ['HTTP/2 200', undefined],
    ['xHTTP/1.1 200 OK', undefined],
    ['http/1.1 200 OK', undefined],
  ] as const) {
    for (const text of [line, `${line}\r\nX: 1`]) {
      if (status === undefined) t.throws(() => readHead(text), { code: /no HTTP\/1 status line/ }, text);
      else t.equal(readHead(text).status, status, text);
    }
  }
});

t.test('a head that can become none is refused before its end', async (t) => {
  for (const [text, fine] of [
    ['', true],
    ['H', true],
    ['HTTP/1.', true],
    ['HTTP/1.1 200 OK\r', true],
    ['HTTP/1.1 200 OK\r\nX: 1\r', true],
    ['h', false],
    ['HTTP/2', false],
    ['HTTP/1.1 200 OK\n', false],
    ['HTTP/1.1 200 OK\rX', false],
    ['HTTP/1.1 200 OK\rX\r', false],
    ['HTTP/1.1 200 OK\r\nX: \0', false],
  ] as const) {
    if (fine) checkPartialHead(text);
    else t.throws(() => checkPartialHead(text), { name: 'InvalidResponse' }, JSON.stringify(text));
  }
});

t.test('fields are read without the blanks around their values', async (t) => {
  const { fields, names } = readHead(
    'HTTP/1.1 200 OK\r\nX-A: 1\r\nx-b:2\r\nX-C: \t 3 4 \t\r\nX-D:\r\nX-E: \t ',
  );
  t.same(fields, ['X-A', '1', 'x-b', '2', 'X-C', '3 4', 'X-D', '', 'X-E', '']);
  t.same(names, ['x-a', 'x-b', 'x-c', 'x-d', 'x-e']);
  for (const line of ['X', ': 1', ' X: 1', 'X : 1', 'X\t: 1', '(: 1', ''])
    t.throws(() => readHead(`HTTP/1.1 200 OK\r\n${line}\r\nY: 1`), { code: /is not a field/ }, line);
});

t.test('a length is one number of up to fifteen digits, and a coding is chunked', async (t) => {
  for (const [fields, expected] of [
    [['Content-Length: 5'], [5, false]],
    [['Content-Length: 999999999999999'], [999_999_999_999_999, false]],
    [['Content-Length: 1000000000000000'], /not a number/],
    [['Content-Length: 5a'], /not a number/],
    [['Content-Length: a5'], /not a number/],
    [['Content-Length: -5'], /not a number/],
    [['Content-Length:'], /not a number/],
    [['Content-Length: 5, 5'], /not a number/],
    [['Content-Length: 5', 'content-length: 5'], /two Content-Length/],
    [['Content-Length:\t5'], /a tab/],
    [['Transfer-Encoding: chunked'], [undefined, true]],
    [['Transfer-Encoding: Chunked'], [undefined, true]],
    [['Transfer-Encoding: gzip'], /other than chunked/],
    [['Transfer-Encoding: gzip, chunked'], /other than chunked/],
    [['Transfer-Encoding: chunked', 'transfer-encoding: chunked'], /two Transfer-Encoding/],
    [['Transfer-Encoding: chunked\t'], /a tab/],
    [['Transfer-Encoding: chunked', 'Content-Length: 5'], /together with/],
    [[], [undefined, false]],
  ] as const) {
    const text = ['HTTP/1.1 200 OK', ...fields].join('\r\n');
    if (expected instanceof RegExp) t.throws(() => readHead(text), { code: expected }, text);
    else {
      const { length, chunked } = readHead(text);
      t.same([length, chunked], expected, text);
    }
  }
  t.throws(() => readHead('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked'), { code: /in HTTP\/1.0/ });
});

t.test('an option of Connection counts by its whole name, and a stream of events by its type', async (t) => {
  for (const [version, connection, persistent] of [
    ['1.1', '', true],
    ['1.1', 'CLOSE', false],
    ['1.1', 'a, close ,b', false],
    ['1.1', 'closed', true],
    ['1.1', 'un-close', true],
    ['1.0', '', false],
    ['1.0', 'keep-alive', true],
    ['1.0', 'keep-alive-x', false],
    ['1.0', 'keep-alive, close', false],
  ] as const)
    t.equal(
      readHead(`HTTP/${version} 200 OK\r\nConnection: ${connection}`).persistent,
      persistent,
      connection,
    );
  for (const [type, endless] of [
    ['text/event-stream', true],
    ['Text/Event-Stream; charset=utf-8', true],
    ['text/event-streams', false],
    ['xtext/event-stream', false],
    ['application/json; x=text/event-stream', false],
  ] as const)
    t.equal(readHead(`HTTP/1.1 200 OK\r\nContent-Type: ${type}`).endless, endless, type);
  t.equal(readHead('HTTP/1.1 200 OK').endless, false);
  for (const [value, keepAlive] of [
    ['timeout=5', 5_000],
    ['max=1, Timeout=5,x', 5_000],
    ['xtimeout=5', undefined],
    ['timeout=5s', undefined],
    ['timeout=', undefined],
  ] as const)
    t.equal(readHead(`HTTP/1.1 200 OK\r\nKeep-Alive: ${value}`).keepAlive, keepAlive, value);
});

t.test('a body has the bytes that its length says, and what follows is none of it', async (t) => {
  const length = '\r\nContent-Length: 5';
  t.match(bodyIn(length, ['12345']), { text: '12345', left: 0, ended: true });
  t.match(bodyIn(length, ['12', '34']), { text: '1234', left: 0, ended: false });
  t.match(bodyIn(length, ['12', '3456', '7']), { text: '12345', left: 2, ended: true });
  t.match(bodyIn('\r\nContent-Length: 0', ['1']), { text: '', left: 1, ended: true });
  t.match(bodyIn('', ['12', '345']), { text: '12345', left: 0, ended: false });
  t.match(bodyIn(length, ['1'], 'HEAD'), { text: '', left: 1, ended: true });
  for (const status of [204, 304])
    t.equal(bodyOf(readHead(`HTTP/1.1 ${status} X${length}`), 'GET').ended, true, `${status}`);
});

t.test('chunks are read in whatever pieces, with their trailers', async (t) => {
  const chunked = '\r\nTransfer-Encoding: chunked';
  const all = '3\r\nabc\r\nA;x=y\r\n0123456789\r\n01 ;z\r\nd\r\n00\r\nX-A: 1\r\nX-B:2\r\n\r\n';
  const right = { text: 'abc0123456789d', left: 0, ended: true, trailers: ['X-A', '1', 'X-B', '2'] };
  t.match(bodyIn(chunked, [all]), right);
  t.match(bodyIn(chunked, [...all]), right);
  t.match(bodyIn(chunked, [`${all}HTTP`, 'x']), { ...right, left: 5 });
  t.match(bodyIn(chunked, ['3\r\nabc\r\n']), { text: 'abc', ended: false });
  const extension = (bytes: number) => `1;${'x'.repeat(bytes - 4)}\r\n1\r\n0\r\n\r\n`;
  t.match(bodyIn(chunked, [extension(1_024)]), { text: '1', ended: true });
  for (const [bytes, code] of [
    [extension(1_025), /too long/],
    ['3\r\nabcd\r\n', /longer than its size/],
    ['3\r\nabc\n', /line end/],
    ['3\n', /line end/],
    ['3\r\r\n', /control/],
    ['x3\r\n', /not a hexadecimal/],
    ['3 \r\n', /not a hexadecimal/],
    ['0x3\r\n', /not a hexadecimal/],
    ['-3\r\n', /not a hexadecimal/],
    ['\r\n', /not a hexadecimal/],
    [`${'0'.repeat(13)}3\r\n`, /not a hexadecimal/],
    ['0\r\nX\r\n', /is not a field/],
  ] as const)
    t.throws(() => bodyIn(chunked, [bytes]), { code }, JSON.stringify(bytes.slice(0, 20)));
  // In all, lines without their ends.
  const trailers = (bytes: number) => `0\r\n${'x: 5678\r\n'.repeat(bytes / 7)}\r\n`;
  t.equal(bodyIn(chunked, [trailers(16_380)]).ended, true);
  const last = (bytes: number) => trailers(16_380).replace(/\r\n$/, `${'x'.repeat(bytes - 1)}:\r\n\r\n`);
  t.equal(bodyIn(chunked, [last(4)]).ended, true);
  t.throws(() => bodyIn(chunked, [last(5)]), { code: /too many trailer fields/ });
});

t.test('a request is written with its length, or as chunks, and nothing that ends a line', async (t) => {
  const get = { method: 'GET', path: '/a?b', fields: ['X-A', '1', 'x-b', ''], body: undefined, timeout: 0 };
  const body = {} as never;
  for (const [request, lines] of [
    [{ ...get, length: undefined }, ['GET /a?b HTTP/1.1', 'X-A: 1', 'x-b: ', 'connection: keep-alive']],
    [{ ...get, method: 'POST', fields: [], length: undefined }, ['POST /a?b HTTP/1.1', 'content-length: 0']],
    [
      { ...get, method: 'DELETE', fields: [], length: undefined },
      ['DELETE /a?b HTTP/1.1', 'connection: keep-alive'],
    ],
    [{ ...get, fields: [], body, length: 5 }, ['GET /a?b HTTP/1.1', 'content-length: 5']],
    [{ ...get, fields: [], body, length: undefined }, ['GET /a?b HTTP/1.1', 'transfer-encoding: chunked']],
    [
      { ...get, fields: [], length: undefined, upgrade: { protocol: 'x', accept: () => () => {} } },
      ['GET /a?b HTTP/1.1', 'upgrade: x', 'connection: Upgrade'],
    ],
  ] as const) {
    const text = writeHead(request);
    t.ok(text.endsWith('\r\n\r\n'));
    const last = text.includes('upgrade') ? [] : ['connection: keep-alive'];
    t.same(text.slice(0, -4).split('\r\n'), [...new Set([...lines, ...last])]);
  }
  for (const broken of [
    { method: 'GE T' },
    { path: 'x/a' },
    { path: '/a b' },
    { path: '/a\r\nX: 1' },
    { path: '/a\n' },
    { fields: ['X A', '1'] },
    { fields: ['X', '1\r\nY: 2'] },
    { fields: ['X', '1', 'Y', '\n'] },
  ])
    t.throws(
      () => writeHead({ ...get, length: undefined, ...broken }),
      { code: 'unsendable' },
      JSON.stringify(broken),
    );
});

t.test(
  'a connection is used after a request that left nothing unread, and a request repeated that changes nothing',
  async (t) => {
    const get = { method: 'GET', path: '/', fields: [], body: undefined, length: undefined, timeout: 0 };
    const body = {} as never;
    const upgrade = { protocol: 'x', accept: () => () => {} };
    for (const [request, keeps, repeats] of [
      [get, true, true],
      [{ ...get, method: 'OPTIONS' }, true, true],
      [{ ...get, method: 'HEAD' }, false, true],
      [{ ...get, body }, false, false],
      [{ ...get, upgrade }, false, true],
      [{ ...get, method: 'POST' }, true, false],
      [{ ...get, method: 'POST', body }, true, false],
      [{ ...get, method: 'DELETE', body }, false, false],
    ] as const) {
      t.equal(keepsFraming(request), keeps, JSON.stringify(request));
      t.equal(mayRepeat(request), repeats, JSON.stringify(request));
    }
  },
);
