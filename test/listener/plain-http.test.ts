import { once } from 'node:events';
import t from 'tap';
import { startTestGateway } from '../gateway.js';
import { startTlsGateway } from '../streams.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';

t.test('plain HTTP at a port for HTTPS is answered 400, and other clients are served', async (t) => {
  const gate = await startTlsGateway(t);
  for (const method of ['GET', 'POST', 'PUT', 'CONNECT']) {
    const { answers, closed } = await sendRaw(
      gate.port,
      `${method} / HTTP/1.1\r\nHost: gate.example\r\n\r\n`,
      { answers: 2 },
    );
    t.equal(answers[0]?.status, 400, method);
    t.match(answers[0]?.body.toString(), /"reason":"plain HTTP was sent to a port for HTTPS"/);
    t.ok(closed, 'and the connection ends');
  }
  for (const bytes of ['no TLS either', '\x16\x03\x01\x00\x05hello', '']) {
    const { answers } = await sendRaw(gate.port, bytes, { end: true });
    t.equal(answers.length, 0, 'what is neither is not answered');
  }
  t.ok(await gate.session(), 'TLS is served as ever');
});

t.test('CONNECT is answered, behind other requests as well', async (t) => {
  const gate = await startTestGateway(t);
  const connect = 'CONNECT gate.example:443 HTTP/1.1\r\nHost: gate.example\r\n\r\n';
  const { answers, closed } = await sendRaw(gate.port, connect, { answers: 2 });
  t.equal(answers[0]?.status, 405);
  t.match(JSON.parse(answers[0]?.body.toString() ?? ''), { error: { reason: 'CONNECT is not served' } });
  t.ok(closed);
  t.match(gate.log.at(-1), { status: 405, error: 'method_refused' });
  const get = 'GET /get HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\n\r\n';
  const both = await sendRaw(gate.port, get + connect, { answers: 3 });
  t.equal(both.answers[0]?.status, 200);
  t.ok(both.closed, 'the connection ends after the answers that it owes');
});

t.test('an answer is whole that CONNECT was sent behind, however slowly it is read', async (t) => {
  const size = 8_000_000;
  const gate = await startTestGateway(t, {
    respond: (_message, response) => {
      response.writeHead(200, { 'content-length': size });
      response.end(Buffer.alloc(size, 'x'));
    },
  });
  const socket = await open(gate.port);
  socket.write(
    'GET /get HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\n\r\n' +
      'CONNECT gate.example:443 HTTP/1.1\r\nHost: gate.example\r\n\r\n',
  );
  await until(() => gate.upstream.received.length === 1);
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(socket, 'end');
  socket.destroy();
  t.ok(bytes > size, `${bytes} bytes`);
});
