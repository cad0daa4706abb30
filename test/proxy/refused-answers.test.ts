import t from 'tap';
import { startTestGateway } from '../gateway.js';
import { sendRaw } from '../wire.js';
import { FORWARD_RULES, request, startRawUpstream } from './raw.js';

t.jobs = 8;

/** What an upstream says, before it waits for ever, and what the audit line says of it. */
const REFUSED: readonly [says: string, text: string, cause: string][] = [
  [
    'line ends without CR',
    'HTTP/1.1 200 OK\nContent-Length: 2\n\nok',
    'a control character, or a line end that is not CR LF, in the head',
  ],
  [
    'a control character before the end of the head',
    'HTTP/1.1 200 OK\r\nX: a\x00b\r\n',
    'a control character, or a line end that is not CR LF, in the head',
  ],
  ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', 'no HTTP/1 status line'],
  ['a status line cut short', 'HTTP/1.1 2\r\n\r\n', 'no HTTP/1 status line'],
  [
    'two lengths',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok',
    'two Content-Length fields',
  ],
  [
    'a length that is none',
    'HTTP/1.1 200 OK\r\nContent-Length: 2a\r\n\r\nok',
    'a Content-Length that is not a number',
  ],
  [
    'a length beside chunks',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n',
    'Content-Length together with Transfer-Encoding',
  ],
  [
    'two codings',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n',
    'two Transfer-Encoding fields',
  ],
  [
    'another coding',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
    'a Transfer-Encoding other than chunked, or chunked in HTTP/1.0',
  ],
  [
    'chunks in HTTP/1.0',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    'a Transfer-Encoding other than chunked, or chunked in HTTP/1.0',
  ],
  [
    'a tab before the coding',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding:\tchunked\r\n\r\n',
    'a tab in Content-Length or Transfer-Encoding',
  ],
  [
    'a folded field',
    'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok',
    'a line in the head or the trailers that is not a field',
  ],
  [
    'a blank behind a chunk size',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  \r\nok\r\n0\r\n\r\n',
    'a chunk size that is not a hexadecimal number, or is followed by spaces',
  ],
  [
    'a chunk line without CR',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n',
    'a control character, or a line end that is not CR LF, between chunks',
  ],
  [
    'a head without an end',
    `HTTP/1.1 200 OK\r\n${'X-Fill: '.padEnd(1000, 'x')}\r\n`.repeat(1).padEnd(70_000, 'y'),
    'a head larger than forward.maxResponseHeaderBytes',
  ],
  [
    '101 that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\n\r\n',
    '101 to a request without Upgrade',
  ],
];

for (const [says, text, cause] of REFUSED) {
  t.test(`${says} in an answer is 502 at once, and the audit line names it`, async (t) => {
    const { url } = await startRawUpstream(t, (socket) => socket.write(text, 'latin1'));
    const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
    // The upstream keeps the connection: only a limit of time would end it.
    const { answers } = await sendRaw(gate.port, request('GET /'));
    t.equal(answers[0]?.status, 502);
    t.match(gate.log.at(-1), { status: 502, error: 'upstream_invalid', cause: `answer_invalid: ${cause}` });
  });
}

t.test('answers with large heads get through, and how large they may be can be set', async (t) => {
  const cookies = Array.from({ length: 9 }, (_, i) => `Set-Cookie: c${i}=${'x'.repeat(2_000)}\r\n`).join('');
  const { url } = await startRawUpstream(t, (socket) =>
    socket.write(`HTTP/1.1 200 OK\r\n${cookies}Content-Length: 2\r\n\r\nok`),
  );
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: url });
  const { answers } = await sendRaw(gate.port, request('GET /'));
  t.equal(answers[0]?.status, 200);
  t.equal(answers[0]?.headers.get('set-cookie')?.length, 9);
  const strict = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: url,
    settings: { forward: { maxResponseHeaderBytes: 16_384 } },
  });
  t.equal((await sendRaw(strict.port, request('GET /'))).answers[0]?.status, 502);
});
