import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { Relay, type RelayTimes } from '../../../src/proxy/websocket/relay.js';
import type { Scope } from '../../gateway.js';
import { until } from '../../until.js';
import { BINARY, CLOSE, CONTINUATION, frame, PING, readFrames, TEXT } from './frame.js';

/** One end of a WebSocket, and what has come to it. */
interface Endpoint {
  readonly socket: Socket;
  readonly got: () => Buffer;
  /** Whether nothing more comes: the other side has ended the connection, or cut it. */
  readonly ended: () => boolean;
}

/** A client and an upstream, with a relay between. */
interface Relayed {
  readonly client: Endpoint;
  readonly upstream: Endpoint;
  readonly relay: Relay;
  readonly faults: unknown[];
  readonly over: () => boolean;
  /** The relay's own sockets. */
  readonly inner: { readonly client: Socket; readonly upstream: Socket };
}

function endpoint(socket: Socket): Endpoint {
  const pieces: Buffer[] = [];
  let ended = false;
  socket.on('error', () => {});
  socket.on('data', (bytes) => pieces.push(bytes));
  socket.on('end', () => {
    ended = true;
  });
  socket.on('close', () => {
    ended = true;
  });
  return { socket, got: () => Buffer.concat(pieces), ended: () => ended };
}

/** Two ends of one connection. */
async function pair(t: Scope): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect({
    port: (server.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  t.teardown(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

async function relayed(t: Scope, times?: RelayTimes): Promise<Relayed> {
  const [[clientEnd, client], [upstreamEnd, upstream]] = await Promise.all([pair(t), pair(t)]);
  const faults: unknown[] = [];
  let over = false;
  const relay = new Relay(
    client,
    upstream,
    (error) => faults.push(error),
    () => {
      over = true;
    },
    times,
  );
  relay.open();
  upstream.on('data', (bytes) => relay.pass('upstream', bytes));
  upstream.resume();
  return {
    client: endpoint(clientEnd),
    upstream: endpoint(upstreamEnd),
    relay,
    faults,
    over: () => over,
    inner: { client, upstream },
  };
}

/** The times of a relay whose close is awaited to be cut. */
const HASTY: RelayTimes = { close: 60, linger: 60 };

const masked = (payload: Buffer | string, options: object = {}): Buffer =>
  frame(payload, { ...options, masked: true });
const last = (bytes: Buffer) => readFrames(bytes).frames.at(-1);

t.test(
  'a Close is sent at once where no frame is under way, to each side as its own kind needs it',
  async (t) => {
    const { client, upstream, relay, over } = await relayed(t);
    client.socket.write(masked('hello'));
    await until(() => upstream.got().length > 0);
    relay.close(1008, 'token expired');
    await until(() => client.got().length > 0 && readFrames(upstream.got()).frames.length === 2);
    t.match(last(client.got()), { opcode: CLOSE, masked: false, code: 1008, reason: 'token expired' });
    t.match(last(upstream.got()), { opcode: CLOSE, masked: true, code: 1008, reason: 'token expired' });
    t.notOk(client.ended() || upstream.ended(), 'both may answer');
    client.socket.write(masked('\x03\xf0', { opcode: CLOSE }));
    await until(client.ended);
    t.notOk(upstream.ended(), 'the other one still may');
    upstream.socket.write(frame('\x03\xf0', { opcode: CLOSE }));
    await until(upstream.ended);
    client.socket.end();
    upstream.socket.end();
    await until(over);
  },
);

t.test('a Close waits for the end of a large frame, and nothing comes after it', async (t) => {
  const { client, upstream, relay } = await relayed(t);
  const large = frame(Buffer.alloc(300_000, 7), { opcode: BINARY });
  upstream.socket.write(large.subarray(0, 100_000));
  await until(() => client.got().length === 100_000);
  relay.close(1001, 'going away');
  await until(() => upstream.got().length > 0);
  t.match(last(upstream.got()), { opcode: CLOSE, code: 1001 }, 'the other direction need not wait');
  t.equal(client.got().length, 100_000);
  upstream.socket.write(Buffer.concat([large.subarray(100_000), frame('not this')]));
  await until(() => last(client.got())?.opcode === CLOSE);
  const { frames, rest } = readFrames(client.got());
  t.equal(rest.length, 0);
  t.match(frames, [{ opcode: BINARY }, { opcode: CLOSE, code: 1001, reason: 'going away' }]);
  t.ok(frames[0]?.payload.equals(Buffer.alloc(300_000, 7)));
});

t.test('a Close stands between two fragments of a message, never in one', async (t) => {
  const { client, upstream, relay } = await relayed(t);
  const fragments = [
    masked('one', { opcode: TEXT, fin: false }),
    masked('two', { opcode: CONTINUATION, fin: false }),
    masked('three', { opcode: CONTINUATION }),
  ];
  client.socket.write(Buffer.concat([fragments[0] as Buffer, (fragments[1] as Buffer).subarray(0, 3)]));
  await until(() => upstream.got().length === 12);
  relay.close(1008, 'token expired');
  await until(() => client.got().length > 0);
  client.socket.write(Buffer.concat([(fragments[1] as Buffer).subarray(3), fragments[2] as Buffer]));
  await until(() => last(upstream.got())?.opcode === CLOSE);
  t.match(readFrames(upstream.got()).frames, [
    { opcode: TEXT, fin: false },
    { opcode: CONTINUATION, fin: false },
    { opcode: CLOSE, code: 1008 },
  ]);
});

t.test('wherever a Close comes, each side has whole frames before it, and nothing behind it', async (t) => {
  const anyFrame = fc
    .record({
      opcode: fc.constantFrom(CONTINUATION, TEXT, BINARY, PING),
      fin: fc.boolean(),
      length: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.constantFrom(126, 65_535, 65_536)),
    })
    .map(({ length, ...options }) => frame(Buffer.alloc(length, 1), options));
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyFrame, { minLength: 1, maxLength: 12 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 6 }),
      fc.nat(),
      async (frames, cuts, when) => {
        const { client, upstream, relay } = await relayed(t);
        const bytes = Buffer.concat(frames);
        const marks = [...cuts.map((share) => Math.floor(share * bytes.length)), bytes.length].sort(
          (a, b) => a - b,
        );
        const moment = when % marks.length;
        let at = 0;
        for (const [i, mark] of marks.entries()) {
          upstream.socket.write(bytes.subarray(at, mark));
          at = mark;
          if (i === moment) {
            await until(() => client.got().length >= at);
            relay.close(1008, 'token expired');
          }
        }
        await until(() => last(client.got())?.opcode === CLOSE);
        const read = readFrames(client.got());
        t.equal(read.rest.length, 0);
        const passed = client.got().subarray(0, client.got().length - 17);
        t.ok(passed.equals(bytes.subarray(0, passed.length)), 'what came before it is as it was sent');
        relay.destroy();
      },
    ),
    { numRuns: 60 },
  );
});

t.test('a side that never ends its frame is cut, and told no Close in the middle of it', async (t) => {
  const { client, upstream, relay, over } = await relayed(t, HASTY);
  upstream.socket.write(frame(Buffer.alloc(1_000)).subarray(0, 500));
  await until(() => client.got().length === 500);
  relay.close(1008, 'token expired');
  await until(() => over() && client.ended());
  t.equal(client.got().length, 500);
  t.match(last(upstream.got()), { opcode: CLOSE, code: 1008 });
});

t.test('sides that never answer a Close are cut, and what they say meanwhile goes nowhere', async (t) => {
  const { client, upstream, relay, over } = await relayed(t, { close: 300, linger: 60_000 });
  relay.close(1008, 'maximum age');
  await until(() => client.got().length > 0 && upstream.got().length > 0);
  const before = upstream.got().length;
  client.socket.write(masked('later'));
  await until(() => over() && client.ended() && upstream.ended());
  t.equal(upstream.got().length, before);
});

t.test('where the framing is lost, all is relayed, and at the end there is no Close', async (t) => {
  const { client, upstream, relay, over } = await relayed(t, HASTY);
  const broken = Buffer.concat([
    Buffer.from([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 1]),
    Buffer.from('anything'),
  ]);
  upstream.socket.write(broken);
  await until(() => client.got().length === broken.length);
  upstream.socket.write('more');
  await until(() => client.got().length === broken.length + 4);
  relay.close(1008, 'token expired');
  await until(() => client.ended());
  t.equal(client.got().length, broken.length + 4);
  t.match(last(upstream.got()), { opcode: CLOSE, code: 1008 }, 'the direction that can be followed has one');
  await until(over);
});

t.test('no frame follows a Close that an endpoint has sent itself', async (t) => {
  const { client, upstream, relay, over } = await relayed(t, HASTY);
  const own = masked('\x0f\xa1', { opcode: CLOSE });
  client.socket.write(own);
  await until(() => upstream.got().length === own.length);
  relay.close(1001, 'going away');
  await until(() => client.got().length > 0);
  t.match(last(client.got()), { opcode: CLOSE, code: 1001 }, 'it takes this for the answer');
  await until(over);
  t.ok(upstream.got().equals(own), 'and the upstream hears of it once');
});

t.test('a closing handshake of the endpoints is theirs', async (t) => {
  const { client, upstream, over } = await relayed(t);
  client.socket.write(masked('\x0f\xa1done', { opcode: CLOSE }));
  await until(() => upstream.got().length > 0);
  t.match(last(upstream.got()), { opcode: CLOSE, code: 4001, reason: 'done' });
  upstream.socket.end(frame('\x0f\xa1', { opcode: CLOSE }));
  await until(client.ended);
  t.match(last(client.got()), { opcode: CLOSE, code: 4001 });
  client.socket.end();
  await until(over);
});

t.test('what was sent before an end arrives, and then the end', async (t) => {
  const { client, upstream, over } = await relayed(t);
  const bytes = frame(Buffer.alloc(2_000_000, 3));
  upstream.socket.end(bytes);
  await until(client.ended);
  t.equal(client.got().length, bytes.length);
  client.socket.end();
  await until(over);
  const second = await relayed(t);
  second.client.socket.end(masked('bye'));
  await until(second.upstream.ended);
  t.equal(readFrames(second.upstream.got()).frames[0]?.payload.toString(), 'bye');
  second.upstream.socket.end(frame('and more'));
  await until(second.client.ended);
  t.equal(readFrames(second.client.got()).frames[0]?.payload.toString(), 'and more');
  await until(second.over);
});

t.test('a side that stays when the other one has left is cut after a while', async (t) => {
  for (const leaving of ['client', 'upstream'] as const) {
    const all = await relayed(t, HASTY);
    const staying = all[leaving === 'client' ? 'upstream' : 'client'];
    all[leaving].socket.destroy();
    await until(staying.ended);
    // It goes on as if nobody had left, which keeps nothing open.
    const talking = setInterval(() => staying.socket.write(frame('still here')), 5);
    t.teardown(() => clearInterval(talking));
    await until(() => all.over() && staying.ended());
    clearInterval(talking);
    t.same(all.faults, []);
  }
});

t.test('a reset is the end of both', async (t) => {
  const { client, upstream, over } = await relayed(t, HASTY);
  client.socket.resetAndDestroy();
  await until(upstream.ended);
  await until(over);
});

t.test('a connection on which nothing is said stays open', async (t) => {
  const { client, upstream } = await relayed(t, { close: 10, linger: 10 });
  client.socket.write(masked('one'));
  upstream.socket.write(frame('one'));
  await until(() => upstream.got().length > 0 && client.got().length > 0);
  // Both times have passed once they have cut another one that began to end after this one fell silent.
  const other = await relayed(t, { close: 10, linger: 10 });
  other.client.socket.destroy();
  await until(() => other.over() && other.upstream.ended());
  client.socket.write(masked('two'));
  await until(() => readFrames(upstream.got()).frames.length === 2);
  t.notOk(client.ended());
});

t.test('the end of a side is heard that was held up for the other one', async (t) => {
  for (const closing of [true, false]) {
    const { client, upstream, relay, inner, over } = await relayed(t, { close: 60_000, linger: 60_000 });
    client.socket.pause();
    // One whole frame after the other, until the client takes no more.
    for (let sent = 0; !inner.upstream.isPaused(); ) {
      const piece = frame(Buffer.alloc(8_000));
      upstream.socket.write(piece);
      sent += piece.length;
      await until(() => inner.client.bytesWritten === sent);
    }
    if (closing) {
      relay.close(1001, 'going away');
      upstream.socket.write(frame('\x03\xe9', { opcode: CLOSE }));
      await until(upstream.ended);
      t.match(last(upstream.got()), { opcode: CLOSE, code: 1001 });
    } else {
      upstream.socket.write(frame(Buffer.alloc(500_000)));
      client.socket.destroy();
      await until(upstream.ended);
      upstream.socket.end();
      await until(over);
    }
    relay.destroy();
  }
});

t.test('an exception ends this connection, and is told of', async (t) => {
  const { client, upstream, inner, faults, over } = await relayed(t);
  inner.upstream.write = () => {
    throw new TypeError('a fault');
  };
  client.socket.write(masked('x'));
  await until(() => over() && client.ended() && upstream.ended());
  t.match(faults, [TypeError]);
});

t.test('a side that is not read makes the other one wait, also while it is closed', async (t) => {
  const { client, upstream, relay, inner, over } = await relayed(t, { close: 300, linger: 60_000 });
  client.socket.pause();
  let sent = 0;
  const piece = frame(Buffer.alloc(65_536));
  while (upstream.socket.writableLength < 4_000_000 && sent < 100_000_000) {
    upstream.socket.write(piece);
    sent += piece.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(sent < 100_000_000, `stopped after ${sent} bytes`);
  t.ok(inner.client.writableLength < 1_000_000, `${inner.client.writableLength} bytes wait in memory`);
  relay.close(1001, 'going away');
  await until(over);
  t.pass('and it is cut when its time is over');
});
