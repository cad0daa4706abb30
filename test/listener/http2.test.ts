import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { canonicalTarget } from '../../src/parse/target.js';
import { apiRule, rule, VECTOR_RULES } from '../gateway.js';
import { answerOf, ask, fields, type StreamAnswer, startTlsGateway } from '../streams.js';
import { vectors } from '../vectors.js';

t.test('HTTP/2 gets the same decisions as HTTP/1.1, and the upstream an honest account of it', async (t) => {
  const gateway = await startTlsGateway(t);
  const session = await gateway.session();
  t.equal(session.alpnProtocol, 'h2');
  const answers = [
    await ask(session, fields({ ':path': '/get?q=1', 'x-forwarded-for': '9.9.9.9', te: 'trailers' })),
    await ask(session, fields({ authorization: undefined })),
    await ask(session, fields({ authorization: 'Bearer unknown' })),
    await ask(session, fields({ authorization: 'Bearer good-write' })),
    await ask(session, fields({ ':method': 'POST' }), 'x'),
    await ask(
      session,
      fields({ ':method': 'POST', ':path': '/post', authorization: 'bearer good-write' }),
      'body',
    ),
    await ask(session, fields({ ':authority': 'other.example' })),
  ];
  t.same(
    answers.map(({ status }) => status),
    [200, 401, 401, 403, 404, 200, 404],
  );
  t.match(answers[1]?.headers['www-authenticate'], /^Bearer realm=/);
  const [first, second] = gateway.upstream.received;
  t.equal(gateway.upstream.received.length, 2);
  t.match(first, { method: 'GET', url: '/get?q=1' });
  t.match(first?.headers, {
    host: new URL(gateway.upstream.url).host,
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'gate.example',
    forwarded: 'for=127.0.0.1;host=gate.example;proto=https',
    via: /^2\.0 scopegate-/,
  });
  t.notOk(first?.headers.te);
  t.notOk(
    first?.rawHeaders.some((text) => text.startsWith(':')),
    'no pseudo field goes on',
  );
  t.match(second, { method: 'POST', url: '/post', complete: true });
  t.equal(second?.body.toString(), 'body');
  t.match(
    gateway.log.find(({ path }) => path === '/post'),
    { method: 'POST', decision: 'allow', status: 200, subject: 'writer' },
  );
});

t.test('clients of HTTP/1.1 are served beside it, and alone where HTTP/2 is off', async (t) => {
  for (const [settings, offered, chosen] of [
    [{}, ['h2', 'http/1.1'], 'h2'],
    [{}, ['http/1.1'], 'http/1.1'],
    [{}, undefined, false],
    [{ server: { maxStreams: 0 } }, ['h2', 'http/1.1'], 'http/1.1'],
  ] as const) {
    const gateway = await startTlsGateway(t, { settings });
    const socket = connectTls({
      port: gateway.port,
      host: '127.0.0.1',
      ca: gateway.ca,
      servername: 'gate.example',
      ...(offered === undefined ? {} : { ALPNProtocols: [...offered] }),
    });
    await once(socket, 'secureConnect');
    t.equal(socket.alpnProtocol, chosen, `${offered} → ${chosen}`);
    if (chosen !== 'h2') {
      socket.write(
        'GET /get HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\nConnection: close\r\n\r\n',
      );
      const chunks: Buffer[] = [];
      for await (const chunk of socket) chunks.push(chunk as Buffer);
      t.match(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 200 /);
    }
    socket.destroy();
  }
});

t.test('a path means over HTTP/2 what it means over HTTP/1.1: all vectors', async (t) => {
  const { cases, authority } = vectors('paths') as {
    cases: { id: string; method: string; target_b64: string }[];
    authority: string;
  };
  const gateway = await startTlsGateway(t, { rules: VECTOR_RULES.replaceAll('gate.example', authority) });
  const session = await gateway.session();
  let sent = 0;
  for (const { id, method, target_b64 } of cases) {
    const path = Buffer.from(target_b64, 'base64').toString('latin1');
    // What cannot stand in a field at all, no client can send.
    if (method === 'CONNECT' || /[^\x20-\x7e]/.test(path) || path === '') continue;
    const before = gateway.upstream.received.length;
    const answer = await ask(
      session,
      fields({
        ':method': method,
        ':path': path,
        ':authority': authority,
        authorization: 'Bearer good-admin',
      }),
    );
    const target = path.startsWith('/') ? canonicalTarget(path, authority) : { refused: 'no path' };
    const received = gateway.upstream.received.slice(before);
    sent++;
    if ('refused' in target) {
      t.ok(isRefused(answer), `${id}: ${path} is refused`);
      t.equal(received.length, 0, id);
    } else if (answer.status === 200) {
      t.equal(received[0]?.url, target.path + target.query, `${id}: ${path} goes on as it was matched`);
    } else {
      t.equal(received.length, 0, `${id}: ${path} is answered ${answer.status} and goes nowhere`);
    }
  }
  t.ok(sent > cases.length / 2, `${sent} of ${cases.length} vectors`);
});

t.test('what names two things is refused', async (t) => {
  const gateway = await startTlsGateway(t);
  const session = await gateway.session();
  const cases: [string, Record<string, string | undefined>, number][] = [
    ['another Host', { host: 'other.example' }, 400],
    ['the same Host', { host: 'GATE.example' }, 200],
    ['Host alone', { ':authority': '', host: 'gate.example' }, 400],
    ['another scheme', { ':scheme': 'http' }, 400],
    ['an absolute target', { ':path': 'https://gate.example/get' }, 400],
    ['a target that is no path', { ':path': 'get' }, 400],
    ['an imitated field', { content_length: '5' }, 400],
    ['an unknown method', { ':method': 'BREW' }, 404],
    ['TRACE', { ':method': 'TRACE' }, 405],
  ];
  for (const [name, more, expected] of cases) {
    const before = gateway.upstream.received.length;
    const answer = await ask(session, fields(more));
    if (expected === 400) t.ok(isRefused(answer), name);
    else t.equal(answer.status, expected, name);
    t.equal(gateway.upstream.received.length - before, expected === 200 ? 1 : 0, `${name}: upstream`);
  }
  const tunnel = session.request(
    { ':method': 'CONNECT', ':authority': 'gate.example:443' },
    { endStream: false },
  );
  tunnel.once('response', () => tunnel.end());
  t.equal((await answerOf(tunnel)).status, 405, 'CONNECT');
  t.equal((await ask(session, fields())).status, 200, 'the connection serves on');
});

t.test('fields cross as they are: cookies put together again, repeated answers kept apart', async (t) => {
  const gateway = await startTlsGateway(t, {
    respond: (_message, response) => {
      response.writeHead(200, [
        'Set-Cookie',
        'a=1',
        'X-Two',
        '1',
        'Set-Cookie',
        'b=2',
        'X-Two',
        '2',
        'Connection',
        'x-own',
        'X-Own',
        'secret',
        'Keep-Alive',
        'timeout=5',
        'Trailer',
        'X-Sum, Content-Length',
      ]);
      response.write('hello');
      response.addTrailers({ 'X-Sum': '5' });
      response.end();
    },
  });
  const session = await gateway.session();
  const answer = await ask(session, fields({ cookie: ['a=1', 'b=2', 'c=3'] }));
  t.equal(answer.status, 200);
  t.same(answer.headers['set-cookie'], ['a=1', 'b=2']);
  t.equal(answer.headers['x-two'], '1, 2');
  t.same(
    [answer.headers['x-own'], answer.headers['keep-alive'], answer.headers.connection],
    [undefined, undefined, undefined],
  );
  t.equal(answer.body.toString(), 'hello');
  t.equal(answer.trailers['x-sum'], '5');
  t.ok(answer.ended);
  const cookies = gateway.upstream.received[0]?.rawHeaders.filter((_text, i, raw) =>
    /^cookie$/i.test(raw[i - 1] ?? ''),
  );
  t.same(cookies, ['a=1; b=2; c=3'], 'RFC 9113 §8.2.3');
});

t.test('bodies stream both ways, byte by byte what they were', async (t) => {
  const gateway = await startTlsGateway(t, {
    rules: apiRule('gate.example', [rule('/.*', ['GET', 'POST', 'HEAD'], 'read')]),
    respond: (message, response) => {
      const status = Number(/\/status\/(\d+)/.exec(message.url ?? '')?.[1] ?? 200);
      const body = gateway.upstream.received.at(-1)?.body ?? Buffer.alloc(0);
      response.writeHead(status, status === 200 && message.method === 'HEAD' ? { 'content-length': 7 } : {});
      response.end(status === 200 ? body : undefined);
    },
  });
  const session = await gateway.session();
  const body = randomBytes(8 * 1024 * 1024 + 1);
  const hash = createHash('sha256').update(body).digest('hex');
  for (const more of [{}, { 'content-length': body.length }]) {
    const answer = await ask(session, fields({ ':method': 'POST', ':path': '/echo', ...more }), body);
    t.equal(answer.status, 200);
    t.ok(answer.ended);
    t.equal(createHash('sha256').update(answer.body).digest('hex'), hash);
  }
  t.equal(gateway.upstream.received[0]?.headers['transfer-encoding'], 'chunked');
  t.equal(gateway.upstream.received[1]?.headers['content-length'], String(body.length));
  const empty = await ask(session, fields({ ':method': 'POST', ':path': '/echo' }), '');
  t.same([empty.status, empty.body.length], [200, 0]);
  const none = await ask(session, fields({ ':method': 'POST', ':path': '/echo' }));
  t.same([none.status, none.ended], [200, true]);
  t.notOk(gateway.upstream.received.at(-1)?.headers['transfer-encoding'], 'no body, no chunks');
  for (const [path, method, status] of [
    ['/status/204', 'GET', 204],
    ['/status/304', 'GET', 304],
    ['/echo', 'HEAD', 200],
  ] as const) {
    const answer = await ask(session, fields({ ':method': method, ':path': path }));
    t.same([answer.status, answer.body.length, answer.ended], [status, 0, true], path);
  }
});

t.test('100 Continue is said after the decision, and only if it allows', async (t) => {
  const gateway = await startTlsGateway(t);
  const session = await gateway.session();
  const post = { ':method': 'POST', ':path': '/post', expect: '100-continue' };
  const stream = session.request(fields({ ...post, authorization: 'Bearer good-write' }), {
    endStream: false,
  });
  const answer = answerOf(stream);
  stream.once('continue', () => stream.end('held back'));
  t.match(await answer, { status: 200, ended: true });
  t.equal(gateway.upstream.received[0]?.body.toString(), 'held back');
  const refused = session.request(fields({ ...post, authorization: 'Bearer good-read' }), {
    endStream: false,
  });
  let continued = false;
  refused.on('continue', () => {
    continued = true;
  });
  const [head] = (await once(refused, 'response')) as [{ ':status': number }];
  t.equal(head[':status'], 403);
  t.notOk(continued);
  refused.close();
  t.match(await ask(session, fields({ expect: 'something-else' })), { status: 417 });
});

t.test('an event stream arrives event by event', async (t) => {
  let end = (): void => {};
  const gateway = await startTlsGateway(t, {
    respond: (_message, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: 1\n\n');
      end = () => response.end('data: 2\n\n');
    },
  });
  const session = await gateway.session();
  const stream = session.request(fields());
  const [first] = (await once(stream, 'data')) as [Buffer];
  t.equal(first.toString(), 'data: 1\n\n', 'before the upstream has ended');
  end();
  const rest: Buffer[] = [];
  for await (const chunk of stream) rest.push(chunk as Buffer);
  t.equal(Buffer.concat(rest).toString(), 'data: 2\n\n');
});

/** By the gate; or by Node's parser of frames before it, which resets the stream. */
function isRefused({ status, code }: StreamAnswer): boolean {
  return status === 400 || (status === 0 && code !== 0);
}
