import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import WebSocket, { type ServerOptions, WebSocketServer } from 'ws';
import { fakeClock } from '../../clock.js';
import { type Scope, startTestGateway, type TestGateway, type TestGatewayOptions } from '../../gateway.js';
import { type Certificate, makeCertificate } from '../../stack/certificate.js';
import { until } from '../../until.js';
import { sendRaw } from '../../wire.js';
import { FORWARD_RULES, request } from '../raw.js';

// Each has a gateway of its own and waits most of its time.
t.jobs = 4;

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${KEY}`,
];
const TOKEN = { authorization: 'Bearer good-read' };

/** A WebSocket upstream, and what it has accepted. */
interface Accepting {
  readonly url: string;
  readonly accepted: {
    readonly socket: WebSocket;
    readonly url: string;
    readonly headers: NodeJS.Dict<string | string[]>;
  }[];
}

async function startAccepting(t: Scope, options: ServerOptions = {}): Promise<Accepting> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, ...options });
  await once(server, 'listening');
  const accepted: Accepting['accepted'] = [];
  server.on('connection', (socket, message) => {
    socket.on('error', () => {});
    accepted.push({ socket, url: message.url ?? '', headers: message.headers });
  });
  t.teardown(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, accepted };
}

async function between(
  t: Scope,
  more: TestGatewayOptions = {},
  options: ServerOptions = {},
): Promise<{ gate: TestGateway; upstream: Accepting }> {
  const upstream = await startAccepting(t, options);
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: upstream.url, ...more });
  return { gate, upstream };
}

/** Connects through the gateway; resolves when both sides are open. */
async function joined(
  t: Scope,
  { gate, upstream }: { gate: TestGateway; upstream: Accepting },
  path = '/guarded/a',
  headers: Record<string, string> = {},
): Promise<{ client: WebSocket; server: WebSocket }> {
  const client = new WebSocket(`ws://127.0.0.1:${gate.port}${path}`, {
    headers: { host: 'gate.example', ...TOKEN, ...headers },
  });
  t.teardown(() => client.terminate());
  client.on('error', () => {});
  const before = upstream.accepted.length;
  await once(client, 'open');
  await until(() => upstream.accepted.length > before);
  return { client, server: (upstream.accepted.at(-1) as Accepting['accepted'][number]).socket };
}

async function closed(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return { code, reason: reason.toString() };
}

t.test('a handshake is decided about like any other request', async (t) => {
  const { gate, upstream } = await between(t);
  const answers: Readonly<Record<number, string>> = {
    401: request('GET /guarded/a', HANDSHAKE),
    403: request('GET /guarded/a', [...HANDSHAKE, 'Authorization: Bearer good-write']),
    404: request('GET /guarded/a', [...HANDSHAKE, 'Authorization: Bearer good-read']).replace(
      'gate.ex',
      'other.ex',
    ),
    400: request('GET /guarded/%2e%2e/%2e%2e/x', [...HANDSHAKE, 'Authorization: Bearer good-read']),
  };
  for (const [status, bytes] of Object.entries(answers)) {
    const { answers: got } = await sendRaw(gate.port, bytes);
    t.equal(got[0]?.status, Number(status));
    t.same(got[0]?.headers.get('connection'), ['close'], 'nothing after it is read');
  }
  const nobody = await sendRaw(
    gate.port,
    request('GET /guarded/a', [...HANDSHAKE, 'Authorization: Bearer nobody']),
  );
  t.equal(nobody.answers[0]?.status, 401);
  gate.endpoint.fault = (_, response) => response.writeHead(500).end();
  const down = await sendRaw(
    gate.port,
    request('GET /guarded/a', [...HANDSHAKE, 'Authorization: Bearer unseen']),
  );
  t.equal(down.answers[0]?.status, 503);
  t.equal(upstream.accepted.length, 0);
});

t.test(
  'the upstream gets path, credential and the gateway’s own fields; nothing the client made up',
  async (t) => {
    const { gate, upstream } = await between(t);
    await joined(t, { gate, upstream }, '/guarded/./a%41?b=%2F&c=1%202', {
      cookie: 'a=b',
      'x-user': 'root',
      'x-forwarded-for': '6.6.6.6',
      'x-mine': '1',
    });
    const { url, headers } = upstream.accepted[0] as Accepting['accepted'][number];
    t.equal(url, '/guarded/aA?b=%2F&c=1%202');
    t.equal(headers.authorization, 'Bearer good-read');
    t.equal(headers.cookie, 'a=b');
    t.equal(headers['x-mine'], '1');
    t.equal(headers['x-forwarded-for'], '127.0.0.1');
    t.match(headers.via, /^1\.1 scopegate-/);
    t.notOk('x-user' in headers);
    t.equal(headers.host, new URL(upstream.url).host);
  },
);

t.test('text stays text and bytes stay bytes, both ways, in order', async (t) => {
  const { client, server } = await joined(t, await between(t));
  server.on('message', (data, binary) => server.send(data, { binary }));
  const got: [string, boolean][] = [];
  client.on('message', (data, binary) => got.push([data.toString('latin1' as never), binary]));
  client.send('Jürgen');
  client.send(Buffer.from([0, 255, 128]));
  client.send('');
  client.send(Buffer.alloc(200_000, 7));
  await until(() => got.length === 4);
  t.same(
    got.map(([, binary]) => binary),
    [false, true, false, true],
  );
  t.equal(Buffer.from(got[0]?.[0] ?? '', 'latin1').toString(), 'Jürgen');
  t.equal(got[1]?.[0], '\x00\xff\x80');
  t.equal(got[3]?.[0].length, 200_000);
  client.close(4001, 'done');
  t.same(await closed(server), { code: 4001, reason: 'done' });
});

t.test('the connection ends with its token', async (t) => {
  const upstream = await startAccepting(t);
  const clock = fakeClock(1_000.7);
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: upstream.url,
    clock,
    tokens: { 'good-read': { scope: 'read', exp: 1_001 } },
  });
  const { client, server } = await joined(t, { gate, upstream });
  const ends = await Promise.all([closed(client), closed(server)]);
  t.same(ends, Array(2).fill({ code: 1008, reason: 'token expired' }));
});

t.test('the connection ends at its maximum age', async (t) => {
  const { client, server } = await joined(
    t,
    await between(t, { settings: { forward: { webSocketMaxAge: '1s' } } }),
  );
  const ends = await Promise.all([closed(client), closed(server)]);
  t.same(ends, Array(2).fill({ code: 1008, reason: 'maximum age' }));
});

t.test('a client that does not answer the close can say nothing more', async (t) => {
  const { gate, upstream } = await between(t, { settings: { forward: { webSocketMaxAge: '1500ms' } } });
  const socket = connect(gate.port, '127.0.0.1');
  socket.on('error', () => {});
  let heard = Buffer.alloc(0);
  socket.on('data', (data) => {
    heard = Buffer.concat([heard, data]);
  });
  socket.write(request('GET /guarded/a', [...HANDSHAKE, 'Authorization: Bearer good-read']));
  await until(() => upstream.accepted.length === 1);
  const said: string[] = [];
  upstream.accepted[0]?.socket.on('message', (data) => said.push(data.toString()));
  socket.write(frame('early'));
  await until(() => said.length === 1);
  await until(() => heard.includes('maximum age'));
  socket.write(frame('later'));
  await once(socket, 'close');
  t.same(said, ['early']);
});

t.test('shutdown closes every connection', async (t) => {
  const { gate, upstream } = await between(t);
  const { client, server } = await joined(t, { gate, upstream });
  const ends = Promise.all([closed(client), closed(server)]);
  t.equal(await gate.gateway.close(), true, 'drained');
  t.same(await ends, Array(2).fill({ code: 1001, reason: 'going away' }));
});

t.test('back-pressure: a reader that does not read stops the writer', async (t) => {
  const { client, server } = await joined(t, await between(t));
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    to.pause();
    const message = Buffer.alloc(64_000);
    let sent = 0;
    // The sockets' own buffers take some megabytes on their way; a gateway that takes all would never stop.
    while (sent < 100_000_000 && from.bufferedAmount < 8_000_000) {
      from.send(message);
      sent += message.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.ok(sent < 100_000_000, `stopped after ${sent} bytes`);
    let got = 0;
    to.on('message', (data: Buffer) => {
      got += data.length;
    });
    to.resume();
    await until(() => got === sent);
    t.pass('and all of it arrives');
  }
});

t.test('a slow reader that leaves is noticed', async (t) => {
  const { client, server } = await joined(t, await between(t));
  server.pause();
  const message = Buffer.alloc(64_000);
  while (client.bufferedAmount < 8_000_000) {
    client.send(message);
    await new Promise((resolve) => setImmediate(resolve));
  }
  server.terminate();
  t.not((await closed(client)).code, 1000);
});

t.test('compression is what the endpoints agree on', async (t) => {
  const { gate, upstream } = await between(t, {}, { perMessageDeflate: { threshold: 0 } });
  const { client, server } = await joined(t, { gate, upstream });
  t.match(client.extensions, 'permessage-deflate');
  server.on('message', (data, binary) => server.send(data, { binary }));
  const text = 'the same again and again '.repeat(40_000);
  client.send(text);
  const [data] = await once(client, 'message');
  t.equal(String(data), text);
});

t.test('a message of any size is for the endpoints to take or not', async (t) => {
  const { client, server } = await joined(t, await between(t));
  const large = Buffer.alloc(20_000_000, 5);
  server.on('message', (data) => server.send(data));
  client.send(large);
  const [data] = (await once(client, 'message')) as [Buffer];
  t.ok(data.equals(large));
  const small = await joined(t, await between(t, {}, { maxPayload: 1_000 }));
  small.client.send(large);
  t.equal((await closed(small.client)).code, 1009, 'the upstream’s own limit, in its own word');
});

t.test('one ping has one pong, the other endpoint’s', async (t) => {
  const { client, server } = await joined(t, await between(t, {}, { autoPong: false }));
  const pongs: string[] = [];
  client.on('pong', (data) => pongs.push(data.toString()));
  client.ping('mine');
  const [ping] = await once(server, 'ping');
  t.equal(String(ping), 'mine');
  server.send('before the pong');
  await once(client, 'message');
  t.same(pongs, [], 'nobody else answers');
  server.pong('mine');
  server.send('after it');
  await once(client, 'message');
  t.same(pongs, ['mine']);
});

t.test('a fault of one endpoint is told by the other one, in its own words', async (t) => {
  const { gate, upstream } = await between(t);
  const socket = connect(gate.port, '127.0.0.1');
  socket.on('error', () => {});
  let heard = Buffer.alloc(0);
  socket.on('data', (data) => {
    heard = Buffer.concat([heard, data]);
  });
  socket.write(request('GET /guarded/a', [...HANDSHAKE, 'Authorization: Bearer good-read']));
  await until(() => upstream.accepted.length === 1);
  // A reserved opcode, with a mask.
  socket.write(Buffer.from([0x83, 0x80, 0, 0, 0, 0]));
  await once(socket, 'close');
  const head = heard.indexOf('\r\n\r\n');
  t.same(heard.subarray(head + 4, head + 8), Buffer.from([0x88, 2, 0x03, 0xea]), '1002, from the upstream');
});

t.test('over TLS on both sides', async (t) => {
  const [own, theirs] = (await Promise.all([
    makeCertificate(['127.0.0.1']),
    makeCertificate(['127.0.0.1']),
  ])) as [Certificate, Certificate];
  const server = createServer({ cert: theirs.cert, key: theirs.key });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const client of sockets.clients) client.terminate();
    server.close();
  });
  const upstreamUrl = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries({
    'cert.pem': own.cert,
    'key.pem': own.key,
    'ca.pem': theirs.ca,
  })) {
    writeFileSync(join(folder, name), text);
  }
  const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  const begin = async (forward: object): Promise<WebSocket> => {
    const gate = await startTestGateway(t, {
      rules: FORWARD_RULES,
      upstreamUrl,
      settings: { listen: { proxy: { tls } }, forward },
    });
    const client = new WebSocket(`wss://127.0.0.1:${gate.port}/guarded/a`, {
      ca: own.ca,
      headers: { host: 'gate.example', ...TOKEN },
    });
    t.teardown(() => client.terminate());
    client.on('error', () => {});
    return client;
  };
  const trusting = await begin({ tls: { ca: join(folder, 'ca.pem') } });
  await once(trusting, 'open');
  const large = Buffer.alloc(3_000_000, 9);
  trusting.send(large);
  const [data] = (await once(trusting, 'message')) as [Buffer];
  t.ok(data.equals(large));
  trusting.close(1000);
  await closed(trusting);
  const [, refused] = await once(await begin({}), 'unexpected-response');
  t.equal(refused.statusCode, 502, 'an upstream that nobody vouches for gets no handshake');
});

t.test('without WebSockets an Upgrade is an ordinary request', async (t) => {
  const { gate } = await between(t, { settings: { forward: { webSockets: false } } });
  const { answers } = await sendRaw(
    gate.port,
    request('GET /guarded/a', [...HANDSHAKE, 'Authorization: Bearer good-read']),
  );
  t.equal(answers[0]?.status, 426, 'the upstream’s own answer to a request without Upgrade');
});

/** One masked text frame (RFC 6455 §5.2), with a mask of zeros. */
function frame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
}
