import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { prove, statements } from '../conformance/statements.js';
import { startTestGateway, type TestGateway } from '../gateway.js';
import { root } from '../root.js';
import { until } from '../until.js';
import { sendRaw, type WireResult } from '../wire.js';
import { converse, FORWARD_RULES, request, startRawUpstream } from './raw.js';

const start = (t: Test, settings: object = {}): Promise<TestGateway> =>
  startTestGateway(t, { rules: FORWARD_RULES, settings: settings as Record<string, unknown> });

/** Sends bytes that must be refused with a status, the connection closed after it, and nothing forwarded. */
async function refused(
  t: Test,
  gate: TestGateway,
  bytes: string,
  status: number | readonly number[],
): Promise<void> {
  const heard = await converse(gate.port, Buffer.from(bytes, 'latin1'));
  const got = Number(/^HTTP\/1\.1 (\d{3}) /.exec(heard.raw)?.[1]);
  t.ok([status].flat().includes(got), `${JSON.stringify(bytes.slice(0, 120))}: ${got}`);
  t.notOk(
    gate.upstream.received.some(({ complete }) => complete),
    'nothing whole reaches the upstream',
  );
}

/** Sends bytes that must be served by the upstream. */
async function served(t: Test, gate: TestGateway, bytes: string): Promise<WireResult> {
  const result = await sendRaw(gate.port, bytes);
  t.equal(result.answers[0]?.status, 200, JSON.stringify(bytes.slice(0, 120)));
  return result;
}

const chunked = (body: string): string => request('POST /', ['Transfer-Encoding: chunked'], body);
const framed = (...fields: string[]): string => request('POST /', fields, 'hello');

t.test('RFC 9110', async (t) => {
  await prove(t, ['R9110-16', 'R9110-17', 'R9110-20', 'R9110-21', 'R9110-22', 'R9110-24', 'R9110-25'], {
    'R9110-16': async (t) => {
      const gate = await start(t);
      const bytes = request('TRACE /', ['Authorization: Bearer good-read', 'Connection: close']);
      await refused(t, gate, bytes, 405);
      t.notMatch((await converse(gate.port, bytes)).raw, /good-read/);
    },
    'R9110-17': async (t) => {
      const gate = await start(t);
      const { raw } = await converse(
        gate.port,
        'CONNECT gate.example:443 HTTP/1.1\r\nHost: gate.example\r\n\r\n',
      );
      t.notMatch(raw, /^HTTP\/1\.1 2/);
      t.equal(gate.upstream.received.length, 0);
    },
    'R9110-20': async (t) => {
      const raw = await startRawUpstream(t, () => {});
      const gate = await startTestGateway(t, {
        rules: FORWARD_RULES,
        upstreamUrl: raw.url,
        settings: { forward: { timeout: '100ms' } },
      });
      t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.status, 504);
      await until(() => raw.sockets.size === 0);
    },
    'R9110-21': async (t) => {
      const gate = await start(t);
      const { answers } = await sendRaw(gate.port, request('GET /guarded/a'));
      t.equal(answers[0]?.status, 401);
      t.match(answers[0]?.headers.get('www-authenticate'), [/^Bearer realm="/]);
    },
    'R9110-22': async (t) => {
      const gate = await start(t);
      const { answers } = await sendRaw(gate.port, request('PROPFIND /'));
      t.equal(answers[0]?.status, 404, 'as Oathkeeper does: 405 would tell which paths exist');
    },
    'R9110-24': async (t) => {
      const gate = await start(t);
      for (const method of ['get', 'Get', 'gET']) await refused(t, gate, request(`${method} /`), [400, 404]);
    },
    'R9110-25': async (t) => {
      for (const byte of ['\r', '\n', '\0']) {
        const raw = await startRawUpstream(t, (socket) =>
          socket.write(`HTTP/1.1 200 OK\r\nX-A: a${byte}b\r\nContent-Length: 2\r\n\r\nhi`),
        );
        const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: raw.url });
        const { answers } = await sendRaw(gate.port, request('GET /'));
        t.equal(answers[0]?.status, 502, JSON.stringify(byte));
        t.notOk(answers[0]?.headers.has('x-a'));
      }
    },
  });
});

t.test('RFC 9112', async (t) => {
  await prove(t, ['R9112-'], {
    'R9112-01': async (t) => {
      const gate = await start(t);
      await refused(t, gate, 'GET / HTTP/1.1\rHost: gate.example\r\n\r\n', 400);
      await refused(t, gate, request('GET /', ['X: a\rb']), 400);
    },
    'R9112-02': async (t) => {
      const gate = await start(t);
      await refused(t, gate, 'GET / HTTP/1.1\nHost: gate.example\n\n', 400);
      await refused(t, gate, request('GET /', ['X: a\nY: b']), 400);
    },
    'R9112-03': async (t) => {
      await served(t, await start(t), `\r\n${request('GET /')}`);
    },
    'R9112-04': async (t) => {
      const gate = await start(t);
      for (const line of ['GET\t/ ', ' GET / ', 'GET /a b ', 'GET /\t']) {
        await refused(t, gate, `${line}HTTP/1.1\r\nHost: gate.example\r\n\r\n`, 400);
      }
      // Node's parser takes repeated spaces for one, and no hook sees them; the upstream gets a line with one reading.
      await served(t, gate, 'GET   /a   HTTP/1.1\r\nHost: gate.example\r\n\r\n');
      t.equal(gate.upstream.received[0]?.url, '/a');
    },
    'R9112-05': async (t) => {
      const gate = await start(t);
      const hosts = [
        '',
        'Host:\r\n',
        'Host: gate.example\r\nHost: gate.example\r\n',
        'Host: a b\r\n',
        'Host: a/b\r\n',
      ];
      for (const host of hosts) await refused(t, gate, `GET / HTTP/1.1\r\n${host}\r\n`, 400);
    },
    'R9112-06': async (t) => {
      const gate = await start(t);
      await served(t, gate, request('GET http://gate.example/a?b'));
      t.equal(gate.upstream.received[0]?.url, '/a?b', 'sent in origin-form');
      gate.upstream.received.length = 0;
      await refused(t, gate, request('GET http://other.example/a'), 400);
    },
    'R9112-07': async (t) => {
      const gate = await start(t);
      await served(t, gate, request('GET http://gate.example'));
      await served(t, gate, request('GET http://gate.example?a'));
      t.same(
        gate.upstream.received.map(({ url }) => url),
        ['/', '/?a'],
      );
    },
    'R9112-08': async (t) => {
      const gate = await start(t);
      for (const method of ['GET', 'POST', 'OPTIONS']) await refused(t, gate, request(`${method} *`), 400);
    },
    'R9112-09': async (t) => {
      const gate = await start(t);
      await served(t, gate, request(`GET /${'a'.repeat(8_000)}`));
      gate.upstream.received.length = 0;
      await refused(t, gate, request(`GET /${'a'.repeat(9_000)}`), 414);
    },
    'R9112-10': async (t) => {
      const gate = await start(t);
      await refused(t, gate, request('GET /', [`X: ${'a'.repeat(17_000)}`]), 431);
    },
    'R9112-11': async (t) => {
      const gate = await start(t);
      for (const field of ['X : a', 'Host : b', 'Content-Length\t: 0']) {
        await refused(t, gate, request('GET /', [field]), 400);
      }
    },
    'R9112-12': async (t) => {
      const raw = await startRawUpstream(t, (socket) =>
        socket.write('HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 2\r\n\r\nhi'),
      );
      const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: raw.url });
      t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.status, 502);
    },
    'R9112-13': async (t) => {
      await refused(t, await start(t), request('GET /', ['X: a', ' b']), 400);
    },
    'R9112-14': async (t) => {
      const raw = await startRawUpstream(t, (socket) =>
        socket.write('HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi'),
      );
      const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: raw.url });
      t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.status, 502);
    },
    'R9112-15': async (t) => {
      const gate = await start(t);
      await refused(t, gate, framed('Content-Length: 5', 'Transfer-Encoding: chunked'), 400);
      await refused(t, gate, framed('Transfer-Encoding: chunked', 'Content-Length: 5'), 400);
    },
    'R9112-16': async (t) => {
      await refused(t, await start(t), framed('Transfer-Encoding: cow'), [400, 501]);
    },
    'R9112-17': async (t) => {
      const gate = await start(t);
      for (const coding of ['gzip', 'chunked, gzip', 'identity']) {
        await refused(t, gate, framed(`Transfer-Encoding: ${coding}`), 400);
      }
    },
    'R9112-18': async (t) => {
      const bytes = chunked('5\r\nhello\r\n0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0');
      await refused(t, await start(t), bytes, 400);
    },
    'R9112-19': async (t) => {
      const gate = await start(t);
      for (const length of ['+5', '-5', '5, 5', '0x5', 'five', '', '99999999999999999999']) {
        await refused(t, gate, framed(`Content-Length: ${length}`), 400);
      }
      await refused(t, gate, framed('Content-Length: 5', 'Content-Length: 6'), 400);
    },
    'R9112-20': async (t) => {
      for (const lengths of [
        'Content-Length: 2\r\nContent-Length: 3',
        'Content-Length: two',
        'Content-Length: 2, 3',
      ]) {
        const raw = await startRawUpstream(t, (socket) =>
          socket.write(`HTTP/1.1 200 OK\r\n${lengths}\r\n\r\nhi!`),
        );
        const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: raw.url });
        t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.status, 502, lengths);
        await until(() => raw.sockets.size === 0);
      }
    },
    'R9112-21': async (t) => {
      const gate = await start(t);
      await sendRaw(gate.port, request('POST /', ['Content-Length: 9'], 'hello'), { end: true });
      t.notOk(gate.upstream.received.some(({ complete }) => complete));
    },
    'R9112-22': async (t) => {
      const raw = await startRawUpstream(t, (socket) =>
        socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'),
      );
      const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: raw.url });
      const heard = await converse(gate.port, request('GET /'));
      t.match(heard.raw, /5\r\nhello\r\n$/, 'no last chunk, and the connection is closed');
    },
    'R9112-23': async (t) => {
      const gate = await start(t);
      await served(t, gate, chunked('5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n'));
      t.equal(gate.upstream.received[0]?.body.toString(), 'hello');
      gate.upstream.received.length = 0;
      await refused(t, gate, chunked(`5;${'a'.repeat(40_000)}\r\nhello\r\n0\r\n\r\n`), [400, 413, 431]);
    },
    'R9112-24': async (t) => {
      const gate = await start(t);
      await served(t, gate, chunked('5\r\nhello\r\n0\r\nHost: evil\r\nAuthorization: evil\r\n\r\n'));
      t.notMatch(gate.upstream.received[0]?.rawHeaders.join(), /evil/);
    },
    'R9112-25': async (t) => {
      const gate = await start(t);
      for (const size of ['xyz', '-5', '0x5', 'fffffffffffffffff', '5 ', '']) {
        await refused(t, gate, chunked(`${size}\r\nhello\r\n0\r\n\r\n`), 400);
      }
    },
    'R9112-26': async (t) => {
      const gate = await start(t);
      const { raw } = await converse(gate.port, request('GET /', ['Connection: close']));
      t.match(raw, /^HTTP\/1\.1 200 OK\r\n.*connection: close\r\n/is);
    },
    'R9112-27': async (t) => {
      const gate = await start(t);
      t.match(
        (await converse(gate.port, 'GET / HTTP/1.0\r\nHost: gate.example\r\n\r\n')).raw,
        /^HTTP\/1\.1 200 OK/,
      );
    },
    'R9112-28': async (t) => {
      const raw = await startRawUpstream(t, (socket, head) => {
        const path = head.split(' ')[1] as string;
        const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`;
        // The first takes longest.
        setTimeout(() => socket.write(answer), path === '/1' ? 60 : 0);
      });
      const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: raw.url });
      const bytes = ['/1', '/guarded/2', '/3'].map((path) => request(`GET ${path}`)).join('');
      const { answers } = await sendRaw(gate.port, bytes, { answers: 3 });
      t.same(
        answers.map(({ status, body }) => (status === 200 ? body.toString() : status)),
        ['/1', 401, '/3'],
      );
    },
    'R9112-29': async (t) => {
      const gate = await start(t);
      const hidden = request('GET /hidden');
      const refusedPost = request('POST /guarded/a', [`Content-Length: ${hidden.length}`], hidden);
      const { answers } = await sendRaw(gate.port, refusedPost + request('GET /next'), { answers: 2 });
      t.same(
        answers.map(({ status }) => status),
        [401, 200],
      );
      t.same(
        gate.upstream.received.map(({ url }) => url),
        ['/next'],
      );
    },
    'R9112-30': async (t) => {
      const gate = await start(t);
      const next = request('GET /next');
      await refused(t, gate, framed('Content-Length: 5', 'Content-Length: 6') + next, 400);
      await refused(t, gate, framed('Transfer-Encoding: chunked', 'Content-Length: 5') + next, 400);
      await refused(t, gate, request('GET /', ['A B: c']) + next, 400);
    },
  });
});

t.test('every statement about forwarding has a test of its name', async (t) => {
  const folder = join(root, 'test', 'proxy');
  const tests = readdirSync(folder)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('\n');
  for (const { id } of statements) {
    if (/^(?:R9110|R9112|R7239)-|^R9700-03/.test(id)) t.match(tests, new RegExp(`['" ]${id}[' ]`), id);
  }
});
