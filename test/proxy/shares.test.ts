import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import t from 'tap';
import { BufferedBodies } from '../../src/proxy/buffered-bodies.js';
import { RequestBody } from '../../src/proxy/request-body.js';
import { startTestGateway, type TestGateway } from '../gateway.js';
import { until } from '../until.js';
import { sendRaw } from '../wire.js';
import { FORWARD_RULES, request, startRawUpstream } from './raw.js';
import { metric, startHolding, talk } from './shares-setup.js';

t.jobs = 8;

async function statusOf(gate: TestGateway, path: string): Promise<number | undefined> {
  return (await sendRaw(gate.port, request(`GET ${path}`))).answers[0]?.status;
}

t.test('of a pipeline one request is at work, and all are answered in their order', async (t) => {
  const { gate, held } = await startHolding(t, {});
  const paths = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? `/held/${i}` : `/${i}`));
  const { answers } = await talk(t, gate, paths.map((path) => request(`GET ${path}`)).join(''));
  for (let i = 0; i < 20; i++) {
    await until(() => held.length === i + 1);
    t.equal(gate.upstream.received.length, i * 3 + 1, 'nothing behind it has gone upstream');
    t.equal(await metric(gate, 'scopegate_requests_in_flight'), 1);
    held[i]?.end(`served /held/${i * 3}`);
  }
  await until(() => answers().length === 60);
  t.same(
    answers().map(({ body }) => body.toString()),
    paths.map((path) => `served ${path}`),
  );
});

t.test('a body in a pipeline waits with its request', async (t) => {
  const { gate, held } = await startHolding(t, {});
  const body = 'b'.repeat(100_000);
  const { socket, answers } = await talk(t, gate, request('GET /held'));
  await until(() => held.length === 1);
  socket.write(request('POST /next', [`Content-Length: ${body.length}`], body));
  socket.write(request('GET /last'));
  held[0]?.end('first');
  await until(() => answers().length === 3);
  t.equal(gate.upstream.received[1]?.body.toString(), body);
  t.same(
    answers().map((answer) => answer.body.toString()),
    ['first', 'served /next', 'served /last'],
  );
});

t.test('a client that leaves cancels all that it has sent in a pipeline', async (t) => {
  const { gate, held } = await startHolding(t, { server: { pipelining: 4 } });
  const { socket } = await talk(
    t,
    gate,
    Array.from({ length: 10 }, (_, i) => request(`GET /held/${i}`)).join(''),
  );
  await until(() => held.length === 4);
  const ended = held.map((response) => once(response, 'close'));
  socket.resetAndDestroy();
  await Promise.all(ended);
  t.equal(await statusOf(gate, '/other'), 200);
  t.equal(gate.upstream.received.length, 5, 'what waited was never sent');
  await until(() => gate.log.filter(({ cause }) => cause === 'client_closed').length === 4);
  t.equal(await metric(gate, 'scopegate_requests_in_flight'), 0);
});

t.test('what cannot be read behind a pipeline ends the connection after the answers', async (t) => {
  const { gate, held } = await startHolding(t, {});
  const { socket, answers } = await talk(
    t,
    gate,
    `${request('GET /held')}${request('GET /second')}no request\r\n\r\n`,
  );
  await until(() => held.length === 1);
  const closed = once(socket, 'close');
  held[0]?.end('first');
  await closed;
  t.same(
    answers().map(({ body }) => body.toString()),
    ['first', 'served /second'],
  );
});

t.test('slow small bodies take no connection and no place in flight', async (t) => {
  const { gate } = await startHolding(t, { forward: { connections: 2 }, server: { maxInFlight: 4 } });
  const slow = await Promise.all(
    Array.from({ length: 12 }, () => talk(t, gate, request('POST /slow', ['Content-Length: 5'], 'h'))),
  );
  await until(async () => (await metric(gate, 'scopegate_request_bodies_bytes')) > 0);
  for (let i = 0; i < 20; i++) t.equal(await statusOf(gate, `/${i}`), 200);
  t.equal(await metric(gate, 'scopegate_requests_in_flight'), 0);
  for (const { socket, heard } of slow) {
    socket.write('ello');
    await until(() => heard().includes('served /slow'));
  }
  t.equal(gate.upstream.received.at(-1)?.body.toString(), 'hello');
  await until(async () => (await metric(gate, 'scopegate_request_bodies_bytes')) === 0);
});

t.test('slow large bodies have a bound of their own', async (t) => {
  const { gate } = await startHolding(t, {
    forward: { connections: 2, longExchanges: 4, requestBuffer: 1024 },
  });
  const part = 'a'.repeat(2_000);
  const slow = [];
  for (let i = 0; i < 4; i++) {
    slow.push(await talk(t, gate, request(`POST /slow/${i}`, ['Content-Length: 100000'], part)));
    await until(() => gate.upstream.received.length === i + 1);
  }
  for (let i = 0; i < 10; i++) t.equal(await statusOf(gate, `/${i}`), 200);
  const { answers } = await sendRaw(gate.port, request('POST /', ['Content-Length: 100000'], part));
  t.equal(answers[0]?.status, 503, 'one more of them is refused');
  t.same(answers[0]?.headers.get('retry-after'), ['1']);
  await until(() => gate.log.some(({ cause }) => cause === 'long_exchanges_full'));
  slow[0]?.socket.destroy();
  await until(async () => (await metric(gate, 'scopegate_upstream_connections{upstream')) >= 0);
  await until(() => gate.upstream.received[0]?.message.destroyed === true);
  const body = 'b'.repeat(100_000);
  const again = await sendRaw(gate.port, request('POST /again', [`Content-Length: ${body.length}`], body));
  t.equal(again.answers[0]?.status, 200, 'and served when one has left');
});

t.test('event streams and answers that go on leave the short requests their connections', async (t) => {
  const { gate } = await startHolding(t, { forward: { connections: 2, longExchanges: 4 } });
  const streams = [];
  for (const path of ['/stream', '/part', '/stream', '/part']) {
    const each = await talk(t, gate, request(`GET ${path}`));
    await until(() => each.heard().includes(path === '/part' ? 'a part of it' : 'data: 1'));
    streams.push(each);
  }
  for (let i = 0; i < 10; i++) t.equal(await statusOf(gate, `/${i}`), 200);
  const { answers } = await sendRaw(gate.port, request('GET /stream'));
  t.equal(answers[0]?.status, 503, 'one stream more is refused');
  const cut = await talk(t, gate, request('GET /part'));
  await once(cut.socket, 'close');
  t.match(
    cut.heard(),
    /^HTTP\/1\.1 200 OK\r\n[\s\S]*a part of it$/,
    'an answer without room goes on for a moment',
  );
  t.match(gate.log.at(-1), { status: 200, cause: 'long_exchanges_full' });
  t.equal(await metric(gate, 'scopegate_upstream_turned_away_total'), 2);
  for (let i = 0; i < 4; i++) t.equal(await statusOf(gate, `/${i}`), 200);
  for (const { socket } of streams) socket.destroy();
  await until(() => gate.log.filter(({ cause }) => cause === 'client_closed').length === 4);
  const next = await talk(t, gate, request('GET /stream'));
  await until(() => next.heard().includes('data: 1'));
});

t.test('whoever waits for a connection is told so soon, with 503', async (t) => {
  const { gate, held } = await startHolding(t, { forward: { connections: 1, queueTimeout: '200ms' } });
  const first = await talk(t, gate, request('GET /held'));
  await until(() => held.length === 1);
  const { answers } = await sendRaw(gate.port, request('GET /'));
  t.equal(answers[0]?.status, 503);
  t.same(answers[0]?.headers.get('retry-after'), ['1']);
  t.match(gate.log.at(-1), { status: 503, error: 'overloaded', cause: 'queue_timeout' });
  t.equal(await metric(gate, 'scopegate_upstream_turned_away_total'), 1);
  held[0]?.end('done');
  await until(() => first.heard().includes('done'));
  t.equal(await statusOf(gate, '/'), 200);
});

t.test(
  'a body that comes too slowly is answered 408, one that is slow and fast enough is served',
  async (t) => {
    const { gate } = await startHolding(t, { server: { minBodyRate: 100 } });
    const drip = async (bytes: number): Promise<string> => {
      const { socket, heard } = await talk(t, gate, request('POST /', ['Content-Length: 1200']));
      const timer = setInterval(() => socket.write('x'.repeat(bytes)), 500);
      t.teardown(() => clearInterval(timer));
      await until(() => heard().includes('\r\n\r\n'));
      clearInterval(timer);
      return heard();
    };
    const [slow, fast] = await Promise.all([drip(10), drip(100)]);
    t.match(slow, /^HTTP\/1\.1 408 /);
    t.match(fast, /^HTTP\/1\.1 200 /);
    t.ok(gate.log.some(({ cause, status }) => cause === 'request_body_too_slow' && status === 408));
  },
);

t.test('an upload goes on as long as bytes come, after its answer has begun', async (t) => {
  const { url } = await startRawUpstream(t, (socket, _head, rest) => {
    let bytes = rest.length;
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n');
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes >= 3_000) socket.write('4\r\nover\r\n0\r\n\r\n');
    });
  });
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: url,
    settings: {
      forward: { idleTimeout: '1500ms', requestBuffer: 1024 },
      server: { bodyIdleTimeout: '1500ms' },
    },
  });
  const { socket, heard } = await talk(
    t,
    gate,
    request('POST /', ['Content-Length: 3000'], 'a'.repeat(1_200)),
  );
  await until(() => heard().includes('begun'));
  let left = 1_800;
  const timer = setInterval(() => {
    const bytes = Math.min(left, 200);
    left -= bytes;
    if (bytes > 0) socket.write('b'.repeat(bytes));
  }, 300);
  t.teardown(() => clearInterval(timer));
  await until(() => heard().endsWith('0\r\n\r\n'));
  t.match(heard(), /over/);
});

t.test('bodies that are read ahead share a bounded memory, and the oldest makes room', async (t) => {
  const bodies = new BufferedBodies(3_000);
  const limits = { maxBytes: 0, idleTimeout: 0, minRate: 0, buffer: 65_536 };
  const begin = (): { body: RequestBody; message: PassThrough; error: () => unknown } => {
    const message = new PassThrough();
    const body = new RequestBody(message as unknown as IncomingMessage, limits, bodies);
    let error: unknown;
    body.on('error', (reason) => {
      error = reason;
    });
    body.fill(() => {});
    return { body, message, error: () => error };
  };
  const [first, second, third] = [begin(), begin(), begin()];
  first.message.write(Buffer.alloc(700));
  await until(() => bodies.count === 1);
  second.message.write(Buffer.alloc(700));
  await until(() => bodies.count === 2);
  third.message.write(Buffer.alloc(1_000));
  await until(() => first.error() !== undefined);
  t.match(first.error(), { code: 'request_body_evicted' });
  t.ok(bodies.bytes <= 3_000);
  t.equal(bodies.count, 2);
  second.message.end();
  third.body.destroy();
  await until(() => bodies.count === 0);
  t.equal(bodies.bytes, 0, 'nothing is left of them');
  t.equal(second.body.complete, true);
});
