import t from 'tap';
import { startTestGateway, type TestGatewayOptions } from '../gateway.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';
import { converse, FORWARD_RULES, request, startRawUpstream } from './raw.js';

t.jobs = 4;

const START: TestGatewayOptions = { rules: FORWARD_RULES };

t.test('R9110-08 Expect: 100-continue of a refused request is not answered with 100', async (t) => {
  const gate = await startTestGateway(t, START);
  const { raw, answers, closed } = await sendRaw(
    gate.port,
    request('POST /guarded/a', ['Expect: 100-continue', 'Content-Length: 5']),
  );
  t.match(raw.toString(), /^HTTP\/1\.1 401 /);
  t.same(answers[0]?.headers.get('connection'), ['close'], 'whether the body comes is unknown');
  t.equal(gate.upstream.received.length, 0);
  t.ok(closed || answers.length === 1);
});

t.test(
  'R9110-09 Expect: 100-continue of an allowed request is answered by the gateway, after the decision',
  async (t) => {
    const gate = await startTestGateway(t, START);
    let decide = (): void => {};
    gate.endpoint.gate = new Promise((resolve) => {
      decide = resolve;
    });
    const socket = await open(gate.port);
    let heard = '';
    socket.on('data', (data) => {
      heard += data;
    });
    socket.write(
      request('POST /guarded/a', [
        'Authorization: Bearer good-read',
        'Expect: 100-continue',
        'Transfer-Encoding: chunked',
      ]),
    );
    await until(() => gate.endpoint.asked.length === 1);
    t.equal(heard, '', 'nothing before the decision');
    decide();
    await until(() => heard.includes('\r\n\r\n'));
    t.equal(heard, 'HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('5\r\nhello\r\n0\r\n\r\n');
    await until(() => heard.includes('"path"'));
    t.match(heard, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    t.notOk('expect' in (gate.upstream.received[0]?.headers ?? {}), 'the upstream is not asked to wait');
    t.equal(gate.upstream.received[0]?.body.toString(), 'hello');
    socket.destroy();
  },
);

t.test(
  'R9110-10 another expectation is refused with 417, and an HTTP/1.0 client is never told 100',
  async (t) => {
    const gate = await startTestGateway(t, START);
    const { answers } = await sendRaw(gate.port, request('POST /', ['Expect: 200-ok', 'Content-Length: 5']));
    t.equal(answers[0]?.status, 417);
    const old = await converse(
      gate.port,
      'POST / HTTP/1.0\r\nHost: gate.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello',
    );
    t.match(old.raw, /^HTTP\/1\.1 200 OK/);
  },
);

t.test(
  'R9110-11 early hints are passed on, other interim answers consumed, and the final one is intact',
  async (t) => {
    const raw = await startRawUpstream(t, (socket) => {
      socket.write(
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 199 Odd\r\nX: y\r\n\r\n' +
          'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
      );
    });
    const gate = await startTestGateway(t, { ...START, upstreamUrl: raw.url });
    const { answers, raw: bytes } = await sendRaw(gate.port, request('GET /'));
    t.match(bytes.toString(), /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
    t.equal(answers[0]?.body.toString(), 'hello');
    t.notOk(answers[0]?.headers.has('link'));
  },
);

t.test('R9110-12 an upgrade nobody asked for is 502', async (t) => {
  const raw = await startRawUpstream(t, (socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nraw');
  });
  const gate = await startTestGateway(t, { ...START, upstreamUrl: raw.url });
  const { answers } = await sendRaw(gate.port, request('GET /', ['Connection: upgrade', 'Upgrade: evil']));
  t.equal(answers[0]?.status, 502);
  await until(() => raw.sockets.size === 0);
});
