import t from 'tap';
import { startTestGateway } from '../gateway.js';
import { open, sendRaw } from '../wire.js';

const HOST = 'Host: gate.example\r\n';
const READ = 'Authorization: Bearer good-read\r\n';
const WRITE = 'Authorization: Bearer good-write\r\n';
const GET = `GET /get HTTP/1.1\r\n${HOST}${READ}\r\n`;
const POST =
  'POST /post HTTP/1.1\r\nHost: gate.example\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer ';

t.test('nothing that follows a request on which the connection ends is processed', async (t) => {
  const gate = await startTestGateway(t);
  const served: [name: string, first: string][] = [
    ['Connection: close', `GET /first HTTP/1.1\r\n${HOST}${READ}Connection: close\r\n\r\n`],
    ['close among other options', `GET /first HTTP/1.1\r\n${HOST}${READ}Connection: te, Close\r\n\r\n`],
    [
      'both options on HTTP/1.0',
      `GET /first HTTP/1.0\r\n${HOST}${READ}Connection: close\r\nConnection: keep-alive\r\n\r\n`,
    ],
    ['Proxy-Connection', `GET /first HTTP/1.0\r\n${HOST}${READ}Proxy-Connection: keep-alive\r\n\r\n`],
    ['HTTP/1.0', `GET /first HTTP/1.0\r\n${HOST}${READ}\r\n`],
  ];
  const refused: [name: string, first: string][] = [
    [
      'an empty coding beside a length',
      `POST /post HTTP/1.1\r\n${HOST}${WRITE}Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello`,
    ],
    [
      'two codings',
      `POST /post HTTP/1.1\r\n${HOST}${WRITE}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'chunked on HTTP/1.0',
      `POST /post HTTP/1.0\r\n${HOST}${WRITE}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['two Hosts', `GET /get HTTP/1.1\r\n${HOST}Host: evil.example\r\n${READ}\r\n`],
    ['two tokens', `GET /get HTTP/1.1\r\n${HOST}${READ}${READ}\r\n`],
    ['a bad target', `GET /a%00 HTTP/1.1\r\n${HOST}${READ}\r\n`],
    ['another version', `GET /get HTTP/2.0\r\n${HOST}${READ}\r\n`],
    [
      'an upgrade with a body',
      `POST /post HTTP/1.1\r\n${HOST}${WRITE}Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello`,
    ],
  ];
  for (const [name, first] of [...served, ...refused]) {
    gate.upstream.received.length = 0;
    const { answers, closed } = await sendRaw(gate.port, first + GET + GET, { answers: 3 });
    t.equal(answers.length, 1, `${name}: one answer`);
    t.ok(closed, `${name}: the connection ends`);
    const paths = gate.upstream.received.map(({ url }) => url);
    t.same(
      paths,
      served.some(([of]) => of === name) ? ['/first'] : [],
      `${name}: nothing more at the upstream`,
    );
  }
});

t.test('what follows on a connection that stays is processed', async (t) => {
  const gate = await startTestGateway(t);
  for (const first of [
    `GET /first HTTP/1.0\r\n${HOST}${READ}Connection: keep-alive\r\n\r\n`,
    `GET /first HTTP/1.1\r\n${HOST}\r\n`,
    `GET /admin HTTP/1.1\r\n${HOST}${READ}\r\n`,
    `PUT /none HTTP/1.1\r\n${HOST}${READ}Content-Length: 5\r\n\r\nhello`,
  ]) {
    const { answers } = await sendRaw(gate.port, first + GET + GET, { answers: 3 });
    t.same(answers.map(({ status }) => status).slice(1), [200, 200], first);
  }
});

t.test('answers that are owed are brought before the connection ends for what follows', async (t) => {
  const gate = await startTestGateway(t);
  for (const broken of [
    'GET / HTTP/9\r\n\r\n',
    '\0\0\0',
    `GET /get HTTP/1.1\r\nX : y\r\n\r\n`,
    `POST /post HTTP/1.1\r\n${HOST}${WRITE}Transfer-Encoding: chunked\r\n\r\nx\r\n`,
  ]) {
    const { answers, closed } = await sendRaw(gate.port, GET + GET + broken, { answers: 4 });
    t.same(
      answers.map(({ status }) => status),
      [200, 200],
      JSON.stringify(broken),
    );
    t.ok(closed);
  }
});

t.test('100 Continue behind an unanswered request stands before its own answer or nowhere', async (t) => {
  for (const slow of ['/get', '/post']) {
    const gate = await startTestGateway(t, {
      respond: (message, response) => {
        setTimeout(
          () => response.end(`${message.method} of ${message.headers.authorization}`),
          message.url === slow ? 100 : 0,
        );
      },
    });
    const post = `POST /post HTTP/1.1\r\n${HOST}${WRITE}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`;
    const { answers, raw } = await sendRaw(gate.port, GET + post, { answers: 2 });
    t.same(
      answers.map(({ body }) => body.toString()),
      ['GET of Bearer good-read', 'POST of Bearer good-write'],
    );
    const interim = raw.toString().split('HTTP/1.1 100 Continue\r\n\r\n');
    t.ok(interim.length <= 2);
    if (interim.length === 2) t.match(interim[1], /^HTTP\/1\.1 200 OK\r\n/, 'directly before a final answer');
  }
});

t.test('a client that waits for 100 Continue behind an unanswered request gets it in its turn', async (t) => {
  const gate = await startTestGateway(t, {
    respond: (message, response) => {
      setTimeout(() => response.end('done'), message.url === '/get' ? 50 : 0);
    },
  });
  const post = `POST /post HTTP/1.1\r\n${HOST}${WRITE}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
  const socket = await open(gate.port);
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk;
    if (received.endsWith('HTTP/1.1 100 Continue\r\n\r\n')) socket.write('hello');
  });
  socket.write(GET + post);
  while ((received.match(/done/g) ?? []).length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  t.match(received, /200 OK.*done.*100 Continue\r\n\r\nHTTP\/1\.1 200 OK.*done/s);
  t.equal(gate.upstream.received[1]?.body.toString(), 'hello');
  socket.destroy();
});

t.test('a body that breaks behind its answer gets no second answer', async (t) => {
  const gate = await startTestGateway(t);
  for (const token of ['nobody', 'good-read']) {
    for (const chunk of ['1\r\nab\r\n', 'x\r\n', '5\nhello', '-1\r\n']) {
      const { answers, closed } = await sendRaw(gate.port, `${POST}${token}\r\n\r\n${chunk}0\r\n\r\n`, {
        answers: 2,
      });
      t.ok(answers.length <= 1, `${token} ${JSON.stringify(chunk)}: ${answers.map(({ status }) => status)}`);
      t.ok(closed, 'the connection ends');
    }
  }
  // The same in two packets, so that the answer is certainly there before the fault.
  const { answers, closed } = await sendRaw(gate.port, `${POST}nobody\r\n\r\n5\r\nhel`, {
    answers: 2,
    afterwards: 'loX\r\n0\r\n\r\n',
  });
  t.equal(answers.length, 1);
  t.ok(closed);
});

t.test('what cannot be parsed is accounted for, once', async (t) => {
  const gate = await startTestGateway(t, { settings: { forward: { maxHeaderBytes: 4096 } } });
  const cases: [string, number, string][] = [
    ['nonsense\r\n\r\n', 400, 'malformed_request'],
    [`GET / HTTP/1.1\r\nHost: gate.example\r\nX-A: ${'a'.repeat(5000)}\r\n\r\n`, 431, 'headers_too_large'],
  ];
  for (const [bytes, status, error] of cases) {
    const before = gate.log.length;
    const { answers } = await sendRaw(gate.port, bytes, { answers: 2 });
    t.equal(answers[0]?.status, status);
    const lines = gate.log.slice(before);
    t.equal(lines.length, 1, `${error}: one line`);
    t.match(lines[0], { entrance: 'proxy', peer: '127.0.0.1', decision: 'deny', error, status });
  }
  t.match(await (await fetch(`${gate.adminUrl}/metrics`)).text(), /^scopegate_requests_in_flight 0$/m);
});
