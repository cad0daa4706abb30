import t from 'tap';
import { startTestGateway } from '../gateway.js';
import { until } from '../until.js';
import { open, parseAnswers } from '../wire.js';
import { FORWARD_RULES, request, startRawUpstream } from './raw.js';

// Whoever has sent something is not late because the gateway was held up before it could read it.

/** Holds up this process, gateway and all, for some milliseconds. */
function holdUp(ms: number): void {
  const ends = performance.now() + ms;
  while (performance.now() < ends);
}

const LIMIT = '500ms';
const LONGER = 800;

t.test('a client is not late with what lies unread', async (t) => {
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    settings: { server: { bodyIdleTimeout: LIMIT }, forward: { requestBuffer: 1024 } },
  });
  // Enough to go upstream before it is whole.
  const part = 'a'.repeat(2048);
  const socket = await open(gate.port);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(request('POST /', [`Content-Length: ${part.length + 5}`], part));
  await until(() => gate.upstream.received.length === 1);
  socket.write('world');
  holdUp(LONGER);
  await until(() => parseAnswers(Buffer.concat(chunks)).length === 1);
  t.equal(parseAnswers(Buffer.concat(chunks))[0]?.status, 200);
  t.equal(gate.upstream.received[0]?.body.toString(), `${part}world`);
  socket.destroy();
});

for (const [what, first, rest] of [
  ['the head of its answer', '', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole'],
  ['the rest of its answer', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwh', 'ole'],
] as const) {
  t.test(`an upstream is not late with ${what} that lies unread`, async (t) => {
    const raw = await startRawUpstream(t, (socket) => socket.write(first));
    const gate = await startTestGateway(t, {
      rules: FORWARD_RULES,
      upstreamUrl: raw.url,
      settings: { forward: { timeout: LIMIT, idleTimeout: LIMIT } },
    });
    const socket = await open(gate.port);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.write(request('GET /'));
    await until(() => raw.heads.length === 1 && (first === '' || chunks.length > 0));
    for (const upstream of raw.sockets) upstream.write(rest);
    holdUp(LONGER);
    await until(() => parseAnswers(Buffer.concat(chunks)).length === 1);
    const [answer] = parseAnswers(Buffer.concat(chunks));
    t.equal(answer?.status, 200);
    t.equal(answer?.body.toString(), 'whole');
    socket.destroy();
  });
}
