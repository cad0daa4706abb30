import { once } from 'node:events';
import { connect } from 'node:tls';
import t from 'tap';
import { block, END_HEADERS, END_STREAM, FRAME, openFrames, wasRefused } from '../frames.js';
import { answerOf, ask, fields, startTlsGateway } from '../streams.js';
import { until } from '../until.js';
import { open } from '../wire.js';

type List = readonly (readonly [string, string])[];
const GET: List = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'gate.example'],
  [':path', '/get'],
  ['authorization', 'Bearer good-read'],
];
const POST: List = [
  [':method', 'POST'],
  [':scheme', 'https'],
  [':authority', 'gate.example'],
  [':path', '/post'],
  ['authorization', 'Bearer good-write'],
];

t.test('a header block with two meanings reaches no upstream', async (t) => {
  const gateway = await startTlsGateway(t);
  const without = (name: string): List => GET.filter(([own]) => own !== name);
  const cases: [string, List][] = [
    ['two credentials', [...GET, ['authorization', 'Bearer good-admin']]],
    ['the same credential twice', [...GET, ['authorization', 'Bearer good-read']]],
    ['two hosts', [...GET, ['host', 'gate.example'], ['host', 'gate.example']]],
    ['another host', [...GET, ['host', 'other.example']]],
    ['Connection', [...GET, ['connection', 'close']]],
    ['Connection that names the credential', [...GET, ['connection', 'authorization']]],
    ['Keep-Alive', [...GET, ['keep-alive', 'timeout=5']]],
    ['Transfer-Encoding', [...GET, ['transfer-encoding', 'chunked']]],
    ['Upgrade', [...GET, ['upgrade', 'websocket']]],
    ['Proxy-Connection', [...GET, ['proxy-connection', 'close']]],
    ['TE', [...GET, ['te', 'gzip']]],
    ['an upper-case name', [...GET, ['X-Upper', '1']]],
    ['two paths', [...GET, [':path', '/admin']]],
    ['a path after the fields', [...without(':path'), [':path', '/get']]],
    ['an unknown pseudo field', [[':proto', 'x'], ...GET]],
    ['a pseudo field of answers', [[':status', '200'], ...GET]],
    ['no path', without(':path')],
    ['an empty path', without(':path').toSpliced(1, 0, [':path', ''])],
    ['no method', without(':method')],
    ['no scheme', without(':scheme')],
    ['no host', without(':authority')],
    ['a path with a blank', without(':path').toSpliced(1, 0, [':path', '/get HTTP/1.1\r\nx: y'])],
    ['a path in absolute form', without(':path').toSpliced(1, 0, [':path', 'http://gate.example/get'])],
    ['a path with octets', without(':path').toSpliced(1, 0, [':path', '/g\xe9t'])],
    ['an authority with a user', without(':authority').toSpliced(1, 0, [':authority', 'a@gate.example'])],
    ['two lengths', [...GET, ['content-length', '0'], ['content-length', '0']]],
    ['a length that is none', [...GET, ['content-length', '+1']]],
    ['a length and no body', [...GET, ['content-length', '5']]],
    ['an extended CONNECT', [[':protocol', 'websocket'], ...GET]],
  ];
  for (const [name, list] of cases) {
    const connection = await openFrames(gateway.port, gateway.ca);
    connection.send(FRAME.headers, END_HEADERS | END_STREAM, 1, block(list));
    await connection.until(
      () => wasRefused(connection, 1) || connection.frames.some(({ stream }) => stream === 1),
    );
    t.ok(wasRefused(connection, 1), name);
    connection.socket.destroy();
  }
  t.equal(gateway.upstream.received.length, 0);
  const control = await openFrames(gateway.port, gateway.ca);
  control.send(FRAME.headers, END_HEADERS | END_STREAM, 1, block(GET));
  await control.until((frames) =>
    frames.some(({ stream, flags }) => stream === 1 && (flags & END_STREAM) !== 0),
  );
  t.notOk(wasRefused(control, 1), 'without any of it the request is served');
  t.equal(gateway.upstream.received.length, 1);
  control.socket.destroy();
});

t.test('a field that is none goes no further than the parser of frames, which drops it', async (t) => {
  const gateway = await startTlsGateway(t);
  const fields: [string, string][] = [
    ['x upper', '1'],
    ['x:y', '1'],
    ['x-a', 'b\r\nauthorization: Bearer good-admin'],
    ['x-a', 'b\0c'],
    ['x-a', ' b'],
    ['', 'b'],
  ];
  for (const [name, value] of fields) {
    const before = gateway.upstream.received.length;
    const connection = await openFrames(gateway.port, gateway.ca);
    connection.send(FRAME.headers, END_HEADERS | END_STREAM, 1, block([...GET, [name, value]]));
    await connection.until(
      () => wasRefused(connection, 1) || connection.frames.some(({ stream }) => stream === 1),
    );
    connection.socket.destroy();
    const received = gateway.upstream.received[before];
    t.notOk(
      received?.rawHeaders.some((text, i) => i % 2 === 0 && ['', 'x upper', 'x:y', 'x-a'].includes(text)),
      `${JSON.stringify(name)}: ${JSON.stringify(value)}`,
    );
  }
});

t.test('a body that is not what was declared is never taken for whole', async (t) => {
  const gateway = await startTlsGateway(t);
  const cases: [string, List, (send: (type: number, flags: number, payload?: Buffer) => void) => void][] = [
    [
      'shorter than declared',
      [...POST, ['content-length', '5']],
      (send) => send(FRAME.data, END_STREAM, Buffer.from('abc')),
    ],
    [
      'longer than declared',
      [...POST, ['content-length', '2']],
      (send) => send(FRAME.data, END_STREAM, Buffer.from('abc')),
    ],
    [
      'reset with an error',
      POST,
      (send) => {
        send(FRAME.data, 0, Buffer.from('abc'));
        send(FRAME.reset, 0, Buffer.from([0, 0, 0, 8]));
      },
    ],
    [
      'reset without an error',
      POST,
      (send) => {
        send(FRAME.data, 0, Buffer.from('abc'));
        send(FRAME.reset, 0, Buffer.from([0, 0, 0, 0]));
      },
    ],
  ];
  for (const [name, list, follow] of cases) {
    const before = gateway.upstream.received.length;
    const logged = gateway.log.length;
    const connection = await openFrames(gateway.port, gateway.ca);
    connection.send(FRAME.headers, END_HEADERS, 1, block(list));
    follow((type, flags, payload) => connection.send(type, flags, 1, payload));
    // What the gateway has read by then, it has dealt with.
    connection.send(FRAME.ping, 0, 0, Buffer.alloc(8));
    await connection.until((frames) => frames.some(({ type, flags }) => type === FRAME.ping && flags === 1));
    connection.socket.destroy();
    await until(() => gateway.log.length > logged);
    await until(() => gateway.upstream.received.slice(before).every(({ message }) => message.destroyed));
    t.ok(
      gateway.upstream.received.slice(before).every(({ complete }) => !complete),
      name,
    );
  }
  const session = await gateway.session();
  const stream = session.request(
    fields({ ':method': 'POST', ':path': '/post', authorization: 'Bearer good-write' }),
    { endStream: false },
  );
  stream.on('error', () => {});
  // More than is read ahead: it goes upstream before it is whole.
  stream.write('a'.repeat(100_000));
  const before = gateway.upstream.received.length;
  await until(() => gateway.upstream.received.length > before);
  session.destroy();
  const received = gateway.upstream.received.at(-1);
  await until(() => received?.message.destroyed === true);
  t.notOk(received?.complete, 'a connection that goes away in the middle');
  await until(() => gateway.log.some(({ cause }) => cause === 'client_closed'));
});

t.test("a client that leaves takes its request along, and nobody else's", async (t) => {
  let held = 0;
  const gateway = await startTlsGateway(t, {
    respond: (message, response) => {
      if (message.url === '/hold') held++;
      else response.end('ok');
    },
  });
  const session = await gateway.session();
  const stream = session.request(fields({ ':path': '/hold' }));
  const answer = answerOf(stream);
  await until(() => held === 1);
  const other = ask(session, fields());
  stream.close(8);
  await answer;
  t.equal((await other).status, 200);
  await until(() => gateway.upstream.received[0]?.message.destroyed === true);
  t.pass('the upstream was told');

  // While its token is introspected.
  let open = (): void => {};
  gateway.endpoint.gate = new Promise((resolve) => {
    open = resolve;
  });
  const waiting = session.request(fields({ ':path': '/hold', authorization: 'Bearer good-admin' }));
  const gone = answerOf(waiting);
  await until(() => gateway.endpoint.asked.includes('good-admin'));
  waiting.close(8);
  await gone;
  open();
  await until(() => gateway.log.filter(({ cause }) => cause === 'client_closed').length === 2);
  t.equal(held, 1, 'nothing goes upstream any more');
});

t.test('an upstream that breaks off is seen as broken off', async (t) => {
  const gateway = await startTlsGateway(t, {
    respond: (message, response) => {
      if (message.url === '/length') response.writeHead(200, { 'content-length': 10 });
      response.write('half');
      setImmediate(() => response.destroy());
    },
  });
  const session = await gateway.session();
  for (const path of ['/length', '/chunked']) {
    const answer = await ask(session, fields({ ':path': path }));
    t.equal(answer.status, 200, path);
    t.notOk(answer.ended, `${path}: no clean end`);
    t.equal(answer.code, 2, 'INTERNAL_ERROR');
  }
});

t.test('too many fields, and too large ones, are refused without a word upstream', async (t) => {
  const gateway = await startTlsGateway(t, { settings: { forward: { maxHeaderBytes: 8192 } } });
  for (const list of [
    [...GET, ...Array.from({ length: 505 }, (_, i) => [`x-${i}`, '1'] as const)],
    [...GET, ...Array.from({ length: 10 }, (_, i) => [`x-${i}`, 'v'.repeat(1000)] as const)],
    // Each counts 32 bytes more than it has.
    [...GET, ...Array.from({ length: 300 }, (_, i) => [`x-${i}`, '1'] as const)],
  ]) {
    const connection = await openFrames(gateway.port, gateway.ca);
    connection.send(FRAME.headers, END_HEADERS | END_STREAM, 1, block(list));
    await connection.until((frames) => frames.some(({ stream }) => stream === 1));
    connection.socket.destroy();
  }
  const endless = await openFrames(gateway.port, gateway.ca);
  endless.send(FRAME.headers, END_STREAM, 1, block(GET));
  let sent = 0;
  const more = block(Array.from({ length: 10 }, (_, i) => [`x-${i}`, 'v'.repeat(1000)] as const));
  while (!endless.closed && sent < 1_000) {
    endless.send(FRAME.continuation, 0, 1, more);
    sent++;
    await new Promise(setImmediate);
  }
  t.ok(endless.closed, `a header section without end closes the connection after ${sent} frames`);
  t.equal(gateway.upstream.received.length, 0);
});

t.test('the fields of a request may have as many bytes as is set, and not one more', async (t) => {
  const limit = 8_192;
  const gateway = await startTlsGateway(t, { settings: { forward: { maxHeaderBytes: limit } } });
  const session = await gateway.session();
  const sized = (size: number) => {
    const few = { ...fields({ ':scheme': 'https' }), 'x-fill': '' };
    // RFC 9113 §6.5.2: 32 bytes besides name and value.
    const used = Object.entries(few).reduce(
      (sum, [name, value]) => sum + name.length + `${value}`.length + 32,
      0,
    );
    return { ...few, 'x-fill': 'x'.repeat(size - used) };
  };
  t.equal((await ask(session, sized(limit))).status, 200);
  t.not((await ask(session, sized(limit + 1))).status, 200);
  t.equal(gateway.upstream.received.length, 1);
});

t.test('slow clients keep no connection: a head that never ends, pings without a request', async (t) => {
  const gateway = await startTlsGateway(t, {
    settings: { server: { headersTimeout: '1s', keepAliveTimeout: '1s' } },
  });
  const silent = await openFrames(gateway.port, gateway.ca);
  const half = await openFrames(gateway.port, gateway.ca);
  half.send(FRAME.headers, END_STREAM, 1, block(GET).subarray(0, 20));
  const used = await gateway.session();
  t.equal((await ask(used, fields())).status, 200);
  const drip = setInterval(() => silent.send(FRAME.ping, 0, 0, Buffer.alloc(8)), 20);
  await Promise.all([once(used, 'close'), silent.until(() => false), half.until(() => false)]);
  clearInterval(drip);
  t.ok(silent.closed && half.closed);
  t.equal(gateway.upstream.received.length, 1);
});

t.test(
  'requests that are taken back as fast as they are made end their connection (CVE-2023-44487)',
  async (t) => {
    const gateway = await startTlsGateway(t, { respond: () => {} });
    const connection = await openFrames(gateway.port, gateway.ca);
    const head = block(GET);
    let stream = 1;
    for (; stream < 40_000 && !connection.closed; stream += 2) {
      connection.send(FRAME.headers, END_HEADERS | END_STREAM, stream, head);
      connection.send(FRAME.reset, 0, stream, Buffer.from([0, 0, 0, 8]));
      if (stream % 100 === 1) await new Promise(setImmediate);
    }
    await connection.until(() => false);
    t.ok(connection.closed, `after ${(stream - 1) / 2} requests at the most`);
    await until(() => gateway.upstream.received.every(({ message }) => message.destroyed));
    t.pass('no request stays at the upstream');
    const inFlight = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    t.match(inFlight, /^scopegate_requests_in_flight(?:\{[^}]*\})? 0$/m);
  },
);

t.test('a connection has no more requests at once than it may', async (t) => {
  const gateway = await startTlsGateway(t, {
    settings: { server: { maxStreams: 4 } },
    respond: () => {},
  });
  const connection = await openFrames(gateway.port, gateway.ca);
  await connection.until((frames) => frames.some(({ type }) => type === FRAME.settings));
  connection.send(FRAME.settings, 1, 0);
  for (const stream of [1, 3, 5, 7])
    connection.send(FRAME.headers, END_HEADERS | END_STREAM, stream, block(GET));
  await until(() => gateway.upstream.received.length === 4);
  connection.send(FRAME.headers, END_HEADERS | END_STREAM, 9, block(GET));
  await connection.until(() => wasRefused(connection, 9));
  t.equal(gateway.upstream.received.length, 4);
  connection.socket.destroy();
});

t.test('at shutdown requests in flight are answered, and no more are taken', async (t) => {
  let answer = (): void => {};
  const gateway = await startTlsGateway(t, {
    respond: (_message, response) => {
      answer = () => response.end('late');
    },
  });
  const session = await gateway.session();
  const idle = await gateway.session();
  const flight = ask(session, fields());
  await until(() => gateway.upstream.received.length === 1);
  const closed = gateway.gateway.close();
  await once(idle, 'close');
  await until(() => session.closed || session.destroyed);
  answer();
  t.match(await flight, { status: 200, ended: true });
  t.equal(await closed, true);
});

t.test('a drain that takes long cuts connections on which nothing was asked, and no request', async (t) => {
  let answer = (): void => {};
  const gateway = await startTlsGateway(t, {
    respond: (_message, response) => {
      answer = () => response.end('late');
    },
  });
  const session = await gateway.session();
  const flight = ask(session, fields());
  await until(() => gateway.upstream.received.length === 1);
  const stalled = await open(gateway.port);
  const unused = connect({ port: gateway.port, ca: gateway.ca, servername: 'gate.example' });
  await once(unused, 'secureConnect');
  const ended = [stalled, unused].map((socket) => once(socket.resume(), 'close'));
  const closed = gateway.gateway.close();
  await Promise.all(ended);
  answer();
  t.match(await flight, { status: 200, ended: true });
  t.equal(await closed, true);
});

t.test('what outlasts the drain is cut', async (t) => {
  const gateway = await startTlsGateway(t, {
    settings: { server: { drainTimeout: '100ms' } },
    respond: () => {},
  });
  const session = await gateway.session();
  const flight = ask(session, fields());
  await until(() => gateway.upstream.received.length === 1);
  t.equal(await gateway.gateway.close(), false);
  t.equal((await flight).ended, false);
});
