import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import t from 'tap';
import { startTestGateway } from '../gateway.js';
import { answerOf, fields, startTlsGateway } from '../streams.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';
import { FORWARD_RULES, request, startRawUpstream } from './raw.js';

t.jobs = 4;

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const HINTS =
  'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\nSet-Cookie: a=b\r\n\r\n';

/** An upstream that says the same to every request. */
async function saying(t: Parameters<typeof startRawUpstream>[0], text: string): Promise<string> {
  return (await startRawUpstream(t, (socket) => socket.write(text, 'latin1'))).url;
}

t.test('100 Continue that nobody asked for is no reason to refuse the answer', async (t) => {
  const url = await saying(t, `HTTP/1.1 100 Continue\r\n\r\n${OK}`);
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  for (const bytes of [request('GET /'), request('POST /', ['Content-Length: 5'], 'hello')]) {
    const { raw, answers } = await sendRaw(gate.port, bytes);
    t.equal(answers[0]?.status, 200);
    t.equal(answers[0]?.body.toString(), 'ok');
    t.notMatch(raw.toString(), / 100 /, 'the client has not waited for it');
  }
});

t.test('the client is told of early hints, of their links alone', async (t) => {
  const url = await saying(t, HINTS + OK);
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const modern = (await sendRaw(gate.port, request('GET /'))).raw.toString();
  t.match(
    modern,
    /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>; rel=preload, <\/b\.js>; rel=preload\r\n\r\n/,
  );
  t.match(modern, /\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  t.notMatch(modern, /a=b/, 'what else stands there is not for now');
  const old = await sendRaw(gate.port, 'GET / HTTP/1.0\r\nHost: gate.example\r\n\r\n');
  t.match(old.raw.toString(), /^HTTP\/1\.1 200 OK\r\n/, 'HTTP/1.0 knows no interim answers');

  const tls = await startTlsGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const stream: ClientHttp2Stream = (await tls.session()).request(fields({ ':path': '/' }));
  let hints: IncomingHttpHeaders | undefined;
  stream.on('headers', (headers) => {
    hints = headers;
  });
  const answer = await answerOf(stream);
  t.same(answer.interim, [103]);
  t.match(hints, { link: '</a.css>; rel=preload, </b.js>; rel=preload' });
  t.equal(answer.status, 200);
});

t.test('hints that Node does not write are left out, and the answer comes', async (t) => {
  const url = await saying(t, `HTTP/1.1 103 Early Hints\r\nLink: no link\xff\r\n\r\n${OK}`);
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const { raw } = await sendRaw(gate.port, request('GET /'));
  t.match(raw.toString('latin1'), /^HTTP\/1\.1 200 OK\r\n/);
});

t.test('interim answers come as often as an honest upstream sends them', async (t) => {
  const processing = 'HTTP/1.1 102 Processing\r\n\r\n';
  const patient = await startRawUpstream(t, (socket) => {
    let sent = 0;
    // One more for each second may come than may come at once.
    const timer = setInterval(() => {
      socket.write(processing);
      if (++sent < 18) return;
      clearInterval(timer);
      socket.write(OK);
    }, 200);
  });
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: patient.url });
  t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.status, 200);

  const url = await saying(t, processing.repeat(1_000));
  const flooded = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  t.equal((await sendRaw(flooded.port, request('GET /'))).answers[0]?.status, 502);
  t.match(flooded.log.at(-1), { cause: 'too_many_interim_answers' });
});

t.test(
  'the bytes of a field are the same, whether its answer comes at once or begins before its body',
  async (t) => {
    const field = 'X-Name: J\xfcrgen';
    for (const body of ['', '4\r\ndata\r\n0\r\n\r\n']) {
      const upstream = await startRawUpstream(t, (socket) => {
        const head = `HTTP/1.1 200 OK\r\n${field}\r\nTransfer-Encoding: chunked\r\n\r\n`;
        socket.write(Buffer.from(head + body, 'latin1'));
      });
      const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: upstream.url });
      const socket = await open(gate.port);
      t.teardown(() => socket.destroy());
      let heard = '';
      socket.setEncoding('latin1').on('data', (text: string) => {
        heard += text;
      });
      socket.write(request('GET /'));
      await until(() => heard.includes('\r\n\r\n'));
      t.match(heard, `\r\n${field}\r\n`, body === '' ? 'before its body' : 'at once');
    }
  },
);
