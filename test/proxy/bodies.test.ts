import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import { startTestGateway, type TestGatewayOptions } from '../gateway.js';
import { until } from '../until.js';
import { open, parseAnswers, sendRaw } from '../wire.js';
import { converse, FORWARD_RULES, request, startRawUpstream } from './raw.js';

// Each has a gateway of its own and waits most of its time.
t.jobs = 4;

const START: TestGatewayOptions = { rules: FORWARD_RULES };
/** Bodies of more than 1 KiB go upstream before they are whole. */
const STREAMED: TestGatewayOptions = { ...START, settings: { forward: { requestBuffer: 1024 } } };
const PART = 'a'.repeat(2048);
const EVERY_BYTE = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

const BODIES: Readonly<Record<string, Buffer>> = {
  'application/json': Buffer.from('{ "a" : 1.0, "a": 2e0, "\\u00e9":"\xe9" }\n', 'latin1'),
  'application/json; charset=utf-16': Buffer.from('\ufeff{"a":1}', 'utf16le'),
  'text/plain': Buffer.from('caf\xe9', 'latin1'),
  'text/plain; charset=iso-8859-1': EVERY_BYTE,
  'text/plain; charset=utf-8': Buffer.from('\ufeffJürgen 💡\r\n'),
  'application/x-www-form-urlencoded': Buffer.from('a=1&a=%2&&=;'),
  'multipart/form-data; boundary=x': Buffer.from(
    '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n',
    'latin1',
  ),
  'multipart/form-data': Buffer.from('no boundary at all'),
  'application/octet-stream': randomBytes(300_000),
  'nonsense of a type': EVERY_BYTE,
  'application/x-empty': Buffer.alloc(0),
};

/** Cuts a body into chunks (RFC 9112 §7.1) of odd sizes. */
function chunked(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0, size = 1; at < body.length; at += size, size = (size * 7) % 65_521) {
    const piece = body.subarray(at, at + size);
    parts.push(Buffer.from(`${piece.length.toString(16)};x=y\r\n`), piece, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

t.test('every body arrives byte for byte, both ways and framed either way', async (t) => {
  const gate = await startTestGateway(t, {
    ...START,
    respond(message, response) {
      const body = gate.upstream.received.at(-1)?.body ?? Buffer.alloc(0);
      const length = message.headers['x-answer'] === 'chunked' ? {} : { 'content-length': body.length };
      response.writeHead(200, { 'content-type': message.headers['content-type'], ...length });
      for (let at = 0; at < body.length; at += 40_000) response.write(body.subarray(at, at + 40_000));
      response.end();
    },
  });
  for (const [type, body] of Object.entries(BODIES)) {
    for (const framing of ['length', 'chunked']) {
      for (const answer of ['length', 'chunked']) {
        const name = `${type}, ${framing} up, ${answer} down`;
        const bytes = Buffer.concat([
          Buffer.from(
            request('POST /any', [
              `Content-Type: ${type}`,
              `X-Answer: ${answer}`,
              framing === 'length' ? `Content-Length: ${body.length}` : 'Transfer-Encoding: chunked',
            ]),
          ),
          framing === 'length' ? body : chunked(body),
        ]);
        const { answers } = await sendRaw(gate.port, bytes);
        const got = gate.upstream.received.at(-1);
        t.ok(got?.body.equals(body), `${name}: at the upstream`);
        t.ok(answers[0]?.body.equals(body), `${name}: at the client`);
        t.equal(got?.headers['content-type'], type, name);
        t.same(answers[0]?.headers.get('content-type'), [type], name);
      }
    }
  }
});

t.test(
  'where the upstream answers before an upload is whole, nobody else’s request follows the upload',
  async (t) => {
    const raw = await startRawUpstream(t, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
    for (const framing of ['Content-Length: 400000', 'Transfer-Encoding: chunked']) {
      const before = raw.connections();
      const gate = await startTestGateway(t, { ...STREAMED, upstreamUrl: raw.url });
      const socket = await open(gate.port);
      const answers = collect(socket);
      const part = framing.startsWith('T') ? `800\r\n${PART}\r\n` : PART;
      socket.write(request('POST /1', [framing], part));
      await until(() => answers().length === 1);
      t.equal(answers()[0]?.status, 200, framing);
      const other = await sendRaw(gate.port, request('GET /2', ['Authorization: Bearer of-somebody-else']));
      t.equal(other.answers[0]?.body.toString(), 'ok', framing);
      t.equal(raw.connections() - before, 2, `${framing}: it has a connection of its own`);
      socket.destroy();
    }
  },
);

t.test('a body larger than declared allowed is refused before it is read', async (t) => {
  const gate = await startTestGateway(t, { ...START, settings: { forward: { maxBodyBytes: 1000 } } });
  const fits = await sendRaw(gate.port, request('POST /', ['Content-Length: 1000'], 'a'.repeat(1000)));
  t.equal(fits.answers[0]?.status, 200);
  gate.upstream.received.length = 0;
  const declared = await sendRaw(gate.port, request('POST /', ['Content-Length: 1001']));
  t.equal(declared.answers[0]?.status, 413);
  t.same(declared.answers[0]?.headers.get('connection'), ['close']);
  t.equal(gate.upstream.received.length, 0);
});

t.test('a body that grows larger than allowed is cut off, and the upstream learns of it', async (t) => {
  const gate = await startTestGateway(t, { ...START, settings: { forward: { maxBodyBytes: 1000 } } });
  const chunk = `3e8\r\n${'a'.repeat(1000)}\r\n`;
  const fits = await sendRaw(
    gate.port,
    request('POST /', ['Transfer-Encoding: chunked'], `${chunk}0\r\n\r\n`),
  );
  t.equal(fits.answers[0]?.status, 200);
  const grown = await sendRaw(
    gate.port,
    request('POST /', ['Transfer-Encoding: chunked'], `${chunk}1\r\na\r\n`),
  );
  t.equal(grown.answers[0]?.status, 413);
  t.equal(gate.upstream.received.length, 1, 'what is read ahead does not go upstream');
  t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.status, 200);

  const streamed = await startTestGateway(t, {
    ...START,
    settings: { forward: { maxBodyBytes: 3000, requestBuffer: 1024 } },
  });
  const socket = await open(streamed.port);
  const answers = collect(socket);
  socket.write(request('POST /', ['Transfer-Encoding: chunked'], `800\r\n${PART}\r\n`));
  await until(() => streamed.upstream.received.length === 1);
  socket.write(`800\r\n${PART}\r\n`);
  await until(() => answers().length === 1);
  t.equal(answers()[0]?.status, 413);
  await until(() => streamed.upstream.received[0]?.message.destroyed === true);
  t.notOk(streamed.upstream.received[0]?.complete, 'it got nothing that looks whole');
});

t.test('R9112-29 a refusal reaches a client that sends all before it reads', async (t) => {
  const gate = await startTestGateway(t, { ...START, settings: { forward: { maxBodyBytes: 1000 } } });
  const within = async (length: number): Promise<void> => {
    const body = Buffer.concat([
      Buffer.from(request('POST /', [`Content-Length: ${length}`])),
      Buffer.alloc(length),
    ]);
    t.match((await converse(gate.port, body)).raw, /^HTTP\/1\.1 413 .*\}\}$/s, `${length} bytes`);
  };
  const never = async (): Promise<void> => {
    const socket = await open(gate.port);
    const answers = collect(socket);
    socket.write(request('POST /guarded/a', ['Content-Length: 999']));
    await until(() => answers().length === 1);
    t.equal(answers()[0]?.status, 401);
    await once(socket, 'close');
    t.pass('a client that never ends its unwanted body is let go of');
  };
  await Promise.all([within(800_000), within(40_000_000), never()]);
  t.equal(gate.upstream.received.length, 0);
});

t.test('R9110-13 HEAD: the length is kept, no content follows, the next answer is its own', async (t) => {
  const raw = await startRawUpstream(t, (socket, head) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-For: head\r\n\r\n');
    if (head.startsWith('GET')) socket.write('a'.repeat(12_345));
    // A server that sends content all the same.
    else if (head.includes('/wrong')) socket.write('a'.repeat(12_345));
  });
  const gate = await startTestGateway(t, { ...START, upstreamUrl: raw.url });
  for (const path of ['/right', '/wrong']) {
    const { answers } = await sendRaw(gate.port, request(`HEAD ${path}`) + request(`GET ${path}`), {
      answers: 2,
      methods: ['HEAD', 'GET'],
    });
    t.equal(answers[0]?.status, 200, path);
    t.same(answers[0]?.headers.get('content-length'), ['12345'], path);
    t.equal(answers[0]?.body.length, 0, path);
    t.equal(answers[1]?.body.length, 12_345, path);
  }
});

t.test('R9110-14 204 and 304 have no content, whatever the upstream sends or states', async (t) => {
  const states: Readonly<Record<string, string>> = {
    '/204': 'HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n',
    '/204-length': 'HTTP/1.1 204 No Content\r\nX-A: b\r\nContent-Length: 5\r\n\r\n',
    '/204-content': 'HTTP/1.1 204 No Content\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello',
    '/204-chunked':
      'HTTP/1.1 204 No Content\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    '/304': 'HTTP/1.1 304 Not Modified\r\nX-A: b\r\nETag: "x"\r\n\r\n',
    '/304-length': 'HTTP/1.1 304 Not Modified\r\nX-A: b\r\nETag: "x"\r\nContent-Length: 12345\r\n\r\n',
    '/304-content': 'HTTP/1.1 304 Not Modified\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello',
  };
  const raw = await startRawUpstream(t, (socket, head) => {
    const path = head.split(' ')[1] as string;
    socket.write(states[path] ?? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine');
  });
  const gate = await startTestGateway(t, { ...START, upstreamUrl: raw.url });
  for (const path of Object.keys(states)) {
    const { answers } = await sendRaw(gate.port, request(`GET ${path}`) + request('GET /next'), {
      answers: 2,
    });
    t.equal(answers[0]?.status, Number(path.slice(1, 4)), path);
    t.same(answers[0]?.headers.get('x-a'), ['b'], path);
    t.notOk(answers[0]?.headers.has('transfer-encoding'), path);
    t.equal(answers[1]?.body.toString(), 'fine', `${path}: the connection is good for the next`);
  }
});

t.test('R9112-21 a body that ends early is not forwarded as whole', async (t) => {
  const gate = await startTestGateway(t, STREAMED);
  for (const bytes of [
    request('POST /', ['Content-Length: 10000'], PART),
    request('POST /', ['Transfer-Encoding: chunked'], `800\r\n${PART}\r\n`),
  ]) {
    gate.upstream.received.length = 0;
    const socket = await open(gate.port);
    socket.write(bytes);
    await until(() => gate.upstream.received.length === 1);
    socket.end();
    await until(() => gate.upstream.received[0]?.message.destroyed === true);
    t.notOk(gate.upstream.received[0]?.complete);
  }
  gate.upstream.received.length = 0;
  const socket = await open(gate.port);
  socket.end(request('POST /', ['Content-Length: 10'], 'hello'));
  await once(socket.resume(), 'close');
  t.equal(gate.upstream.received.length, 0, 'a small one does not even begin');
});

t.test('R9112-25 chunking that breaks ends the request at the upstream, too', async (t) => {
  const gate = await startTestGateway(t, STREAMED);
  const socket = await open(gate.port);
  socket.write(request('POST /', ['Transfer-Encoding: chunked'], `800\r\n${PART}\r\n`));
  await until(() => gate.upstream.received.length === 1);
  socket.resume().write('xyz\r\n');
  await once(socket, 'close');
  await until(() => gate.upstream.received[0]?.message.destroyed === true);
  t.notOk(gate.upstream.received[0]?.complete);
});

t.test(
  'R9112-29 an answer that comes before the body was read is delivered, and the body is never a request',
  async (t) => {
    const raw = await startRawUpstream(t, (socket, head) => {
      if (head.startsWith('GET')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine');
      else socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    });
    const gate = await startTestGateway(t, { ...STREAMED, upstreamUrl: raw.url });
    const hidden = request('GET /hidden');
    const length = PART.length + hidden.length + 200_000;
    const socket = await open(gate.port);
    const answers = collect(socket);
    // The head goes upstream once a part of the body fills the buffer.
    socket.write(request('POST /', [`Content-Length: ${length}`], PART));
    await until(() => answers().length === 1);
    t.equal(answers()[0]?.status, 403, 'delivered before the body');
    socket.write(hidden);
    socket.write(Buffer.alloc(200_000));
    socket.write(request('GET /next'));
    await until(() => answers().length === 2);
    t.equal(answers()[1]?.body.toString(), 'fine', 'the connection serves the next request');
    t.same(
      raw.heads.map((head) => head.split(' ')[1]),
      ['/', '/next'],
    );
    socket.destroy();
  },
);

t.test('an upstream that pauses does not make the client late; a client that pauses is', async (t) => {
  let pause = 3_000;
  const raw = await startRawUpstream(t, (socket, head, rest) => {
    let bytes = rest.length;
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    socket.pause();
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes >= length) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nread');
    });
    setTimeout(() => socket.resume(), pause);
  });
  const gate = await startTestGateway(t, {
    ...START,
    upstreamUrl: raw.url,
    settings: { server: { bodyIdleTimeout: '1500ms' } },
  });
  const length = 12_000_000;
  const bytes = Buffer.concat([
    Buffer.from(request('POST /', [`Content-Length: ${length}`])),
    Buffer.alloc(length),
  ]);
  const slow = await sendRaw(gate.port, bytes);
  t.equal(slow.answers[0]?.body.toString(), 'read');
  pause = 0;
  const late = await sendRaw(gate.port, bytes.subarray(0, 1_000_000));
  t.equal(late.answers[0]?.status, 408);
});

/** Reads answers as they come. */
function collect(socket: Socket): () => ReturnType<typeof parseAnswers> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  return () => parseAnswers(Buffer.concat(chunks));
}

t.test(
  'a client that reads slowly, and never pauses for too long, gets an answer of many chunks whole',
  async (t) => {
    const CHUNKS = 200_000;
    const chunk = `c8\r\n${'x'.repeat(200)}\r\n`;
    const raw = await startRawUpstream(t, (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(CHUNKS)}0\r\n\r\n`);
    });
    const gate = await startTestGateway(t, {
      ...START,
      upstreamUrl: raw.url,
      settings: { forward: { idleTimeout: '1500ms' } },
    });
    const socket = await open(gate.port);
    let bytes = 0;
    let tail = '';
    let pauses = 0;
    socket.on('data', (piece) => {
      bytes += piece.length;
      tail = (tail + piece.toString('latin1')).slice(-8);
      // Often enough to take longer than the limit in all, each time for less.
      if (bytes > (pauses + 1) * 3_000_000 && pauses < 8) {
        pauses++;
        socket.pause();
        setTimeout(() => socket.resume(), 250);
      }
    });
    socket.write(request('GET /'));
    const closed = once(socket, 'close').then(() => true);
    await Promise.race([until(() => tail.endsWith('0\r\n\r\n')), closed]);
    t.ok(tail.endsWith('\r\n0\r\n\r\n'), `${bytes} bytes`);
    t.equal(pauses, 8);
    socket.destroy();
  },
);
