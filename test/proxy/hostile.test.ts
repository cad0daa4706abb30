import t from 'tap';
import { apiRule, startTestGateway } from '../gateway.js';
import { ask, fields, startTlsGateway } from '../streams.js';
import { sendRaw } from '../wire.js';
import { hostileRun } from './hostile.js';
import { FORWARD_RULES, request, startRawUpstream } from './raw.js';

t.jobs = 4;

/** Fields that Node writes once in an answer of HTTP/2, and throws when there are two. */
const ONCE = [
  'X-Content-Type-Options',
  'Date',
  'ETag',
  'Last-Modified',
  'Expires',
  'Location',
  'Age',
  'Retry-After',
];

t.test('a field that an upstream sends twice harms nobody, over HTTP/2 as over HTTP/1.1', async (t) => {
  const { url } = await startRawUpstream(t, (socket, head) => {
    const [, name = '', same] = /^GET \/([^/]*)\/(\w+) /.exec(head) ?? [];
    const second = same === 'same' ? 'one' : 'two';
    socket.write(`HTTP/1.1 200 OK\r\n${name}: one\r\n${name}: ${second}\r\nContent-Length: 2\r\n\r\nok`);
  });
  const gate = await startTlsGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const plain = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const session = await gate.session();
  for (const name of ONCE) {
    for (const kind of ['same', 'different']) {
      const path = `/${name}/${kind}`;
      const answer = await ask(session, fields({ ':path': path }));
      t.equal(answer.status, 200, path);
      t.equal(answer.headers[name.toLowerCase()], 'one', `${path}: the first counts`);
      const { answers } = await sendRaw(plain.port, request(`GET ${path}`));
      t.same(answers[0]?.headers.get(name.toLowerCase()), ['one'], `${path}: over HTTP/1.1 as well`);
    }
  }
});

t.test('list fields keep every value', async (t) => {
  const { url } = await startRawUpstream(t, (socket) => {
    socket.write(
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nVary: A\r\nVary: B\r\nContent-Language: en\r\n' +
        'Content-Language: de\r\nContent-Length: 2\r\n\r\nok',
    );
  });
  const gate = await startTlsGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const answer = await ask(await gate.session(), fields({ ':path': '/' }));
  t.same(answer.headers['set-cookie'], ['a=1', 'b=2']);
  t.equal(answer.headers.vary, 'A, B');
  t.equal(answer.headers['content-language'], 'en, de');
});

t.test('an upstream that names framing fields in Connection cannot add an answer', async (t) => {
  const smuggled = '3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nPOISONED';
  for (const listed of [
    'content-length',
    'Content-Length, close',
    'transfer-encoding',
    'date, content-length',
  ]) {
    const { url } = await startRawUpstream(t, (socket) => {
      socket.write(
        `HTTP/1.1 200 OK\r\nConnection: ${listed}\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
      );
    });
    const gate = await startTestGateway(t, {
      rules: [FORWARD_RULES, apiRule('other.example', [OTHER], 'other')].join('\n---\n'),
      settings: { services: { upstream: url } },
      respond: (_message, response) => response.end('mine'),
    });
    const second = 'GET /other HTTP/1.1\r\nHost: other.example\r\n\r\n';
    const { answers } = await sendRaw(gate.port, request('GET /') + second, { answers: 2 });
    t.equal(answers.length, 2, listed);
    t.equal(answers[0]?.body.toString(), smuggled, 'the first answer is what its upstream said, whole');
    t.equal(answers[1]?.body.toString(), 'mine', 'the second is of its own upstream');
  }
});

t.test('what an upstream breaks in its first packet is 502, and so says the audit line', async (t) => {
  const { url } = await startRawUpstream(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n');
  });
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const { answers } = await sendRaw(gate.port, request('GET /'));
  t.equal(answers[0]?.status, 502);
  t.match(gate.log.at(-1), { status: 502, error: 'upstream_invalid', cause: 'answer_invalid' });
});

t.test('a status that HTTP/2 cannot carry, and content behind 205, end in an answer', async (t) => {
  const { url } = await startRawUpstream(t, (socket, head) => {
    const status = /^GET \/(\d+)/.exec(head)?.[1];
    socket.write(`HTTP/1.1 ${status} Odd\r\nContent-Length: 5\r\n\r\nhello`);
  });
  const gate = await startTlsGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const session = await gate.session();
  for (const [sent, told] of [
    [205, 205],
    [599, 599],
    [600, 502],
    [999, 502],
  ]) {
    const answer = await ask(session, fields({ ':path': `/${sent}` }));
    t.equal(answer.status, told, `${sent}`);
    t.equal(answer.ended, true, 'it ends');
  }
});

t.test('hostile answers end one exchange each, and another client is answered right', async (t) => {
  const seed = Number(process.env.FUZZ_SEED ?? 4455);
  const report = await hostileRun(t, 1_500, seed);
  t.comment(`seed ${seed}: ${JSON.stringify(report.statuses)}`);
  for (const violation of report.violations) t.fail(violation);
  t.ok((report.statuses['200'] ?? 0) > 100, 'answers that are whole get through');
  t.equal(report.violations.length, 0);
});

const OTHER = {
  path: '/other',
  methods: ['GET'],
  accessStrategies: [{ handler: 'noop' }],
  service: { name: 'mine', port: 80 },
};
