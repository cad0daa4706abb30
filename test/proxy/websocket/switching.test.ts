import type { Socket } from 'node:net';
import t from 'tap';
import { startTestGateway } from '../../gateway.js';
import { until } from '../../until.js';
import { sendRaw } from '../../wire.js';
import { FORWARD_RULES, request, startRawUpstream } from '../raw.js';
import { acceptFor, CLOSE, frame, readFrames } from './frame.js';
import {
  audits,
  before,
  HANDSHAKE,
  handshake,
  KEY,
  parts,
  shake,
  switching,
  TOKEN,
} from './handshake-setup.js';

t.test(
  'WebSockets count among the exchanges that last, and have a place there as long as they are open',
  async (t) => {
    const { gate, upstream } = await before(t, switching(), { settings: { forward: { longExchanges: 1 } } });
    const first = await shake(t, gate.port, handshake());
    await until(() => first.got().includes(' 101 '));
    const { answers } = await sendRaw(gate.port, handshake());
    t.equal(answers[0]?.status, 503);
    t.same(answers[0]?.headers.get('retry-after'), ['1']);
    t.equal(upstream.heads.length, 1, 'the upstream is not asked');
    await until(() => audits(gate).length === 2);
    t.match(audits(gate)[1], { status: 503, error: 'overloaded', cause: 'long_exchanges_full' });
    first.socket.destroy();
    await until(async () => {
      const again = await shake(t, gate.port, handshake());
      await until(() => again.got().length > 0);
      return again.got().includes(' 101 ');
    });
    t.pass('and give it back');
  },
);

t.test('a WebSocket is in its client’s share as long as it is open', async (t) => {
  const { gate, upstream } = await before(t, switching(), {
    settings: { server: { clientShare: { longExchanges: 1 } } },
  });
  const first = await shake(t, gate.port, handshake());
  await until(() => first.got().includes(' 101 '));
  t.equal((await sendRaw(gate.port, handshake())).answers[0]?.status, 429);
  t.equal(upstream.heads.length, 1, 'the upstream is not asked');
  await until(() => audits(gate).length === 2);
  t.match(audits(gate)[1], { status: 429, error: 'too_many_requests', cause: 'client_share' });
  first.socket.destroy();
  await until(async () => {
    const again = await shake(t, gate.port, handshake());
    await until(() => again.got().length > 0);
    return again.got().includes(' 101 ');
  });
  t.pass('and gives it back');
});

t.test('a handshake that the upstream refuses gives its client’s share back', async (t) => {
  const { gate } = await before(t, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n', {
    settings: { server: { clientShare: { longExchanges: 1 } } },
  });
  for (let i = 0; i < 3; i++) t.equal((await sendRaw(gate.port, handshake())).answers[0]?.status, 403);
});

t.test('a handshake may come on a connection that was used, which then carries nothing else', async (t) => {
  let refuse = false;
  const { gate, upstream } = await before(t, (socket, head) => {
    if (!/^upgrade/im.test(head)) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    else socket.write(refuse ? 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n' : switching());
  });
  const plain = async () => (await sendRaw(gate.port, request('GET /guarded/a', [TOKEN]))).answers[0]?.status;
  t.equal(await plain(), 200);
  const { got } = await shake(t, gate.port, handshake());
  await until(() => got().includes(' 101 '));
  t.equal(upstream.connections(), 1);
  t.equal(await plain(), 200);
  t.equal(upstream.connections(), 2);
  refuse = true;
  t.equal((await sendRaw(gate.port, handshake())).answers[0]?.status, 403);
  t.equal(upstream.connections(), 2);
  t.equal(await plain(), 200);
  t.equal(upstream.connections(), 3, 'not even where it was refused');
});

t.test('a handshake on a connection that the upstream just left is sent once more', async (t) => {
  let left = false;
  const { gate, upstream } = await before(
    t,
    (socket, head) => {
      if (!/^upgrade/im.test(head)) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else if (left) socket.write(switching());
      else {
        left = true;
        socket.resetAndDestroy();
      }
    },
    { settings: { forward: { longExchanges: 1 } } },
  );
  await sendRaw(gate.port, request('GET /guarded/a', [TOKEN]));
  const { got } = await shake(t, gate.port, handshake());
  await until(() => got().length > 0);
  t.match(got().toString('latin1'), /^HTTP\/1\.1 101 /);
  t.equal(upstream.heads.length, 3);
  t.equal((await sendRaw(gate.port, handshake())).answers[0]?.status, 503, 'and counts as one that lasts');
});

t.test('a 101 that does not switch to WebSocket, or not for this handshake, is 502', async (t) => {
  const whole = switching();
  const wrong: Readonly<Record<string, string>> = {
    'no Upgrade': whole.replace('Upgrade: websocket\r\n', ''),
    'another Upgrade': whole.replace('websocket\r\n', 'h2c\r\n'),
    'two Upgrades': whole.replace('websocket\r\n', 'websocket, h2c\r\n'),
    'no Connection': whole.replace('Connection: Upgrade\r\n', ''),
    'another Connection': whole.replace('Connection: Upgrade', 'Connection: keep-alive'),
    'a Connection that ends': whole.replace('Connection: Upgrade', 'Connection: Upgrade, close'),
    'HTTP/1.0': whole.replace('HTTP/1.1', 'HTTP/1.0'),
    'no Accept': whole.replace(/Sec-.*\r\n/, ''),
    'the Accept of another key': whole.replace(/Sec-.*\r\n/, `Sec-WebSocket-Accept: ${acceptFor('x')}\r\n`),
    'two Accepts': whole.replace('\r\n\r\n', `\r\nSec-WebSocket-Accept: ${acceptFor('x')}\r\n\r\n`),
    'a head that is none': whole.replace('Upgrade: ', 'Upgrade : '),
  };
  for (const [name, answer] of Object.entries(wrong)) {
    const { gate, upstream } = await before(t, answer);
    const { answers, closed } = await sendRaw(gate.port, handshake(), { answers: 2 });
    t.same(
      answers.map(({ status }) => status),
      [502],
      name,
    );
    t.ok(closed);
    await until(() => audits(gate).length === 1);
    const cause = /Accept/.test(name)
      ? 'websocket_not_accepted'
      : name === 'a head that is none'
        ? 'answer_invalid'
        : 'websocket_not_switched';
    t.match(audits(gate)[0], { status: 502, error: 'upstream_invalid', cause }, name);
    await until(() => upstream.sockets.size === 0);
  }
});

t.test(
  'a 101 brings the upstream’s fields, but none that frames a body or belongs to its connection',
  async (t) => {
    const { gate } = await before(
      t,
      switching(
        'Set-Cookie: a=1',
        'Set-Cookie: b=2',
        'X-Served-By: up',
        'Content-Length: 5',
        'Keep-Alive: timeout=5',
        'Proxy-Authenticate: Basic',
      ).replace('Connection: Upgrade', 'Connection: upgrade, X-Hop\r\nX-Hop: 1'),
    );
    const { got } = await shake(t, gate.port, handshake());
    await until(() => got().includes('\r\n\r\n'));
    t.same(parts(got()).head.split('\r\n'), [
      'HTTP/1.1 101 Switching Protocols',
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
      'X-Served-By: up',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${acceptFor(KEY)}`,
    ]);
    await until(() => audits(gate).length === 1);
    t.match(audits(gate), [{ status: 101, upstream_status: 101, decision: 'allow' }]);
    t.notOk(audits(gate)[0]?.cause);
  },
);

t.test('interim answers come before a 101, too', async (t) => {
  const { gate } = await before(t, `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${switching()}`);
  const { got } = await shake(t, gate.port, handshake());
  await until(() => got().includes(' 101 '));
  t.pass('it is switched');
});

t.test('a 101 of a request that did not ask for it is still 502', async (t) => {
  const { gate } = await before(t, switching());
  const half = HANDSHAKE.filter((field) => !field.startsWith('Sec-WebSocket-Key'));
  for (const fields of [[], half, ['Connection: Upgrade', 'Upgrade: h2c']]) {
    const { answers } = await sendRaw(gate.port, request('GET /guarded/a', [...fields, TOKEN]));
    t.equal(answers[0]?.status, 502);
  }
});

t.test('what was sent together with a handshake or its answer is passed on behind it', async (t) => {
  const early: Buffer[] = [];
  const { gate } = await before(t, (socket) => {
    socket.on('data', (bytes) => early.push(bytes));
    socket.write(Buffer.concat([Buffer.from(switching()), frame('welcome')]));
  });
  const messages = Array.from({ length: 3_000 }, (_, i) => frame(String(i), { masked: true }));
  const { got } = await shake(t, gate.port, Buffer.concat([Buffer.from(handshake()), ...messages]));
  await until(() => readFrames(Buffer.concat(early)).frames.length === messages.length);
  t.ok(Buffer.concat(early).equals(Buffer.concat(messages)), 'byte for byte, in order');
  t.equal(readFrames(parts(got()).rest).frames[0]?.payload.toString(), 'welcome');
});

t.test(
  'nothing of a client reaches the upstream, or is read without bound, before the upstream has switched',
  async (t) => {
    const release: (() => void)[] = [];
    const bodies: Buffer[] = [];
    const { gate } = await before(t, (socket) => {
      socket.on('data', (bytes) => bodies.push(bytes));
      release.push(() => socket.write(switching()));
    });
    const { socket, got } = await shake(t, gate.port, handshake());
    await until(() => release.length === 1);
    const piece = frame(Buffer.alloc(64_000), { masked: true });
    let sent = 0;
    // The kernel's own buffers take some megabytes on their way.
    while (sent < 100_000_000 && socket.writableLength < 8_000_000) {
      socket.write(piece);
      sent += piece.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.ok(sent < 100_000_000, `stopped after ${sent} bytes`);
    t.equal(got().length, 0, 'the client is told nothing yet');
    t.equal(bodies.length, 0);
    release[0]?.();
    await until(() => bodies.reduce((sum, { length }) => sum + length, 0) === sent);
    t.match(got().toString('latin1'), /^HTTP\/1\.1 101 /);
  },
);

t.test('a client that leaves while the upstream decides takes its handshake back', async (t) => {
  const { gate, upstream } = await before(t, () => {});
  const leave = [(socket: Socket) => socket.resetAndDestroy(), (socket: Socket) => socket.end()];
  for (const [i, go] of leave.entries()) {
    const { socket } = await shake(t, gate.port, handshake());
    await until(() => upstream.heads.length === i + 1);
    go(socket);
    await until(() => upstream.sockets.size === 0 && audits(gate).length === i + 1);
    t.match(audits(gate)[i], { status: 0, cause: 'client_closed' });
  }
});

t.test('a token that has expired meanwhile lets nothing through', async (t) => {
  const release: (() => void)[] = [];
  const bodies: Buffer[] = [];
  const upstream = await startRawUpstream(t, (socket) => {
    socket.on('data', (bytes) => bodies.push(bytes));
    release.push(() => socket.write(Buffer.concat([Buffer.from(switching()), frame('secret')])));
  });
  let now = 1_000;
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: upstream.url,
    clock: { wall: () => now, monotonic: () => now },
    tokens: { 'good-read': { scope: 'read', exp: 1_010 } },
  });
  const { got } = await shake(
    t,
    gate.port,
    Buffer.concat([Buffer.from(handshake()), frame('early', { masked: true })]),
  );
  await until(() => release.length === 1);
  now = 1_010;
  release[0]?.();
  await until(() => bodies.length > 0);
  t.match(readFrames(parts(got()).rest).frames, [{ opcode: CLOSE, code: 1008, reason: 'token expired' }]);
  t.match(readFrames(Buffer.concat(bodies)).frames, [{ opcode: CLOSE, masked: true, code: 1008 }]);
});

t.test('a handshake that is done while the gateway drains is ended at once', async (t) => {
  const release: (() => void)[] = [];
  const { gate } = await before(t, (socket) => {
    release.push(() => socket.write(switching()));
  });
  const { socket, got, closed } = await shake(t, gate.port, handshake());
  await until(() => release.length === 1);
  const drained = gate.gateway.close();
  release[0]?.();
  await until(() => readFrames(parts(got()).rest).frames.length === 1);
  t.match(readFrames(parts(got()).rest).frames, [{ opcode: CLOSE, code: 1001, reason: 'going away' }]);
  socket.write(frame('\x03\xe9', { opcode: CLOSE, masked: true }));
  await until(closed);
  t.equal(await drained, true);
});
