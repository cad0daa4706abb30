import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import WebSocket, { WebSocketServer } from 'ws';
import { startTestGateway, type TestGateway } from '../gateway.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';
import { type StartFront, saying } from './front.js';
import { testBodies, testPitfalls } from './pitfalls.js';
import { FORWARD_RULES, request } from './raw.js';

// What the libraries beneath do by default and a security gateway must not do: each default has its number and its test.

const start: StartFront<TestGateway> = (t, options) =>
  startTestGateway(t, { rules: FORWARD_RULES, ...options });

const HELLO = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

testPitfalls(t, start);

t.test('what a rule sees is what the upstream gets', async (t) => {
  const gate = await start(t);
  const sent: Readonly<Record<string, string>> = {
    '/%2e/guarded/a': '401',
    '/a/./b': '/a/b',
    '/a/%2E/b': '/a/b',
    '/a/%2e%2e/guarded/x': '401',
    '/a\\b': '400',
    '/a/.': '/a/',
    '*': '400',
    '/a#frag': '400',
    '/a"b': '400',
    '/%61?q="<>': '/a?q="<>',
  };
  for (const [target, expected] of Object.entries(sent)) {
    gate.upstream.received.length = 0;
    const { answers } = await sendRaw(gate.port, request(`${target === '*' ? 'OPTIONS' : 'GET'} ${target}`));
    const status = answers[0]?.status;
    t.equal(status === 200 ? gate.upstream.received[0]?.url : String(status), expected, target);
    t.equal(gate.upstream.received.length, status === 200 ? 1 : 0, target);
  }
});

t.test('what upstreams read in more than one way is refused, or read in one', async (t) => {
  const gate = await start(t);
  for (const target of ['/a%2Fb', '/a%5cb', '/a%00b', '/a/%252e%252e/b', '/a;b=c', '/a/..;/b']) {
    const { answers } = await sendRaw(gate.port, request(`GET ${target}`));
    t.equal(answers[0]?.status, 400, target);
  }
  t.equal(gate.upstream.received.length, 0);
  await sendRaw(gate.port, request('GET //a///b//'));
  t.equal(gate.upstream.received[0]?.url, '/a/b/');
});

t.test(
  'bodies of every type arrive byte for byte: none is parsed, decoded or limited to a megabyte',
  async (t) => {
    await testBodies(t, await start(t));
  },
);

t.test('an odd status is passed on', async (t) => {
  const { port } = await saying(t, start, 'HTTP/1.1 999 Odd\r\nContent-Length: 5\r\n\r\nhello');
  t.equal((await sendRaw(port, request('GET /'))).answers[0]?.status, 999);
});

t.test('a request without a body gets no 100 Continue', async (t) => {
  const gate = await start(t);
  const { raw } = await sendRaw(gate.port, request('GET /', ['Expect: 100-continue']));
  t.match(raw.toString(), /^HTTP\/1\.1 200 /);
});

t.test('two credentials are none', async (t) => {
  const gate = await start(t);
  const twice = ['Authorization: Bearer good-read', 'Authorization: Bearer nobody'];
  for (const fields of [twice, [...twice].reverse()]) {
    t.equal((await sendRaw(gate.port, request('GET /guarded/a', fields))).answers[0]?.status, 400);
  }
  t.same(gate.endpoint.asked, []);
});

t.test('methods and types of content are the rules’ and the upstream’s business', async (t) => {
  const gate = await start(t);
  const statusOf = async (method: string, fields: string[] = []): Promise<number | undefined> =>
    (await sendRaw(gate.port, request(`${method} /`, fields), { methods: [method] })).answers[0]?.status;
  t.equal(await statusOf('PROPFIND'), 404, 'no rule has it');
  t.equal(await statusOf('TRACE'), 405, 'R9110-16 it would echo credentials');
  t.equal(await statusOf('get'), 400, 'R9110-24 methods are case-sensitive');
  for (const type of ['nonsense', 'a/b/c', ';', 'text/plain; charset="']) {
    t.equal(await statusOf('POST', [`Content-Type: ${type}`, 'Content-Length: 0']), 200, type);
  }
});

t.test('an upgrade passes the same gate, on every path, and carries the credential', async (t) => {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  t.teardown(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  const upstreamUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const gate = await start(t, { upstreamUrl });
  const knock = async (path: string, headers: Record<string, string> = {}): Promise<number> => {
    const client = new WebSocket(`ws://127.0.0.1:${gate.port}${path}`, {
      headers: { host: 'gate.example', ...headers },
    });
    t.teardown(() => client.terminate());
    client.on('error', () => {});
    const status = once(client, 'unexpected-response').then(([, { statusCode }]) => statusCode as number);
    return Promise.race([status, once(client, 'open').then(() => 101)]);
  };
  let credential: string | undefined;
  server.on('connection', (_, message) => {
    credential = message.headers.authorization;
  });
  t.equal(await knock('/guarded/a'), 401);
  t.equal(await knock('/guarded/'), 401);
  t.equal(await knock('/open'), 101, 'an open path');
  t.equal(await knock('/guarded/a', { authorization: 'Bearer good-read' }), 101);
  await until(() => credential === 'Bearer good-read');
  t.equal(server.clients.size, 2);
});

t.test('a head that takes too long is answered 408', async (t) => {
  const gate = await start(t, { settings: { server: { headersTimeout: '100ms' } } });
  const { answers } = await sendRaw(gate.port, 'GET / HTTP/1.1\r\nHost: gate.example\r\n', {
    timeout: 5_000,
  });
  t.equal(answers[0]?.status, 408);
});

t.test('connections beyond the limit are ended at once, and room is made again', async (t) => {
  const gate = await start(t, { settings: { server: { maxConnections: 2 } } });
  const [first, second] = [await open(gate.port), await open(gate.port)];
  const third = await sendRaw(gate.port, request('GET /'));
  t.same([third.answers.length, third.closed], [0, true], 'one too many');
  first.resume().write(request('GET /'));
  await until(() => gate.upstream.received.length === 1);
  t.pass('those that are there are served');
  second.destroy();
  first.destroy();
  for (;;) {
    const { answers } = await sendRaw(gate.port, request('GET /'));
    if (answers[0]?.status === 200) break;
  }
  t.equal(gate.upstream.received.length, 2, 'and the next one is served as well');
});

t.test('idle connections end', async (t) => {
  const gate = await start(t, { settings: { server: { keepAliveTimeout: '100ms' } } });
  const client = await open(gate.port);
  client.resume().write(request('GET /'));
  await once(client, 'close');
  t.pass('closed');
});

t.test('case, slashes and semicolons mean what they say, and long paths are whole', async (t) => {
  const gate = await start(t);
  const long = `/${'a'.repeat(7_000)}`;
  for (const path of ['/GUARDED/a', '/guarded', long]) {
    t.equal((await sendRaw(gate.port, request(`GET ${path}`))).answers[0]?.status, 200, path.slice(0, 20));
    t.equal(gate.upstream.received.at(-1)?.url, path);
  }
  t.equal((await sendRaw(gate.port, request('GET /guarded//a'))).answers[0]?.status, 401);
  t.equal((await sendRaw(gate.port, request(`GET /${'a'.repeat(9_000)}`))).answers[0]?.status, 414);
  const big = await sendRaw(gate.port, request('GET /', [`X-Big: ${'a'.repeat(20_000)}`]));
  t.equal(big.answers[0]?.status, 431);
});

t.test('what the router could not read is in the audit log', async (t) => {
  const gate = await start(t);
  await sendRaw(gate.port, request('GET /%zz'));
  t.match(
    gate.log.filter((line) => 'decision' in line),
    [{ decision: 'deny', error: 'malformed_target' }],
  );
});

t.test('queries, lengths and encodings pass unchanged; two Host fields do not', async (t) => {
  const { port, raw } = await saying(t, start, HELLO);
  await sendRaw(port, request('GET /a?x=1?y=2&&z=%20+'));
  t.match(raw.heads[0], /^GET \/a\?x=1\?y=2&&z=%20\+ HTTP\/1\.1\r\n/, 'a query is passed on as it came');
  const twice = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: gate.example\r\nHost: other.example\r\n\r\n');
  t.equal(twice.answers[0]?.status, 400, 'two Host fields');
  const head = await sendRaw(port, request('HEAD /'), { methods: ['HEAD'] });
  t.same(head.answers[0]?.headers.get('content-length'), ['5'], 'HEAD keeps its length');
  const zipped = 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\xff';
  const packed = await sendRaw((await saying(t, start, zipped)).port, request('GET /'));
  t.equal(packed.answers[0]?.body.toString('latin1'), '\x1f\x8b\x08\xff', 'what is compressed stays so');
});
