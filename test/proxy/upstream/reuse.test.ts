import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { Pool, READING } from '../../../src/proxy/upstream/pool.js';
import type { UpstreamRequest } from '../../../src/proxy/upstream/request-head.js';
import { bodyOf } from '../../../src/proxy/upstream/response-body.js';
import { readHead } from '../../../src/proxy/upstream/response-head.js';
import { until } from '../../until.js';
import { GET, OK, poolOf, Told, told, upstream } from './answers-setup.js';

// Each has an upstream of its own, and waits most of its time.
t.jobs = 4;

t.test('heads that say how a connection goes on', async (t) => {
  const persistent = (text: string): boolean => readHead(text).persistent;
  t.ok(persistent('HTTP/1.1 200 OK'));
  t.ok(persistent('HTTP/1.1 200'));
  t.notOk(persistent('HTTP/1.1 200 OK\r\nConnection: Close'));
  t.notOk(persistent('HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: keep-alive, close'));
  t.ok(persistent('HTTP/1.1 200 OK\r\nConnection: closed'), 'another option');
  t.notOk(persistent('HTTP/1.0 200 OK'));
  t.ok(persistent('HTTP/1.0 200 OK\r\nConnection: Keep-Alive'));
  t.equal(readHead('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100').keepAlive, 5000);
  t.equal(readHead('HTTP/1.1 200 OK\r\nKeep-Alive: max=100').keepAlive, undefined);
  for (const status of [204, 304]) {
    t.ok(bodyOf(readHead(`HTTP/1.1 ${status} X\r\nContent-Length: 5`), 'GET').ended, `${status}`);
  }
  t.ok(bodyOf(readHead('HTTP/1.1 200 OK\r\nContent-Length: 5'), 'HEAD').ended);
});

t.test('a connection is used again, the last one first', async (t) => {
  const used: number[] = [];
  const origin = await upstream(t, (socket, serial) => {
    socket.on('data', () => {
      used.push(serial);
      socket.write(OK);
    });
  });
  const pool = poolOf(t, origin);
  await Promise.all([told(pool), told(pool)]);
  t.same([...used].sort(), [0, 1]);
  const last = used[1];
  for (let i = 0; i < 3; i++) t.ok((await told(pool)).ended);
  t.same(used.slice(3), [used[2], used[2]], `one of them, ${last}, is kept busy`);
});

t.test('a connection that may be out of step is not used again', async (t) => {
  const cases: Record<string, readonly [answer: string, outgoing?: Partial<UpstreamRequest>]> = {
    'Connection: close': ['HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi'],
    'HTTP/1.0': ['HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi'],
    'an upstream that keeps it for no time': [
      'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nhi',
    ],
    'HEAD, after which some send a body': [
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n',
      { method: 'HEAD' },
    ],
  };
  for (const [name, [answer, outgoing]] of Object.entries(cases)) {
    let connections = 0;
    const origin = await upstream(t, (socket) => {
      connections++;
      socket.on('data', () => socket.write(answer));
    });
    const pool = poolOf(t, origin);
    for (let i = 0; i < 2; i++) t.ok((await told(pool, outgoing)).ended, name);
    t.equal(connections, 2, name);
  }
});

t.test('requests beyond the limit wait in their order; who leaves the queue is not sent', async (t) => {
  const waiting: { socket: Socket; path: string }[] = [];
  const origin = await upstream(t, (socket) => {
    socket.on('data', (chunk) => {
      waiting.push({ socket, path: chunk.toString('latin1').split(' ')[1] as string });
    });
  });
  const pool = poolOf(t, origin, { connections: 2 });
  const readers = Array.from({ length: 6 }, () => new Told());
  for (const [i, reader] of readers.entries()) pool.dispatch({ ...GET, path: `/${i}` }, reader);
  readers[3]?.waiting?.cancel();
  for (let served = 0; served < 5; served++) {
    await until(() => waiting.length > served);
    waiting[served]?.socket.write(OK);
  }
  await until(() => readers.every((reader, i) => reader.over || i === 3));
  t.same(waiting.map(({ path }) => path).slice(2), ['/2', '/4', '/5']);
  t.notOk(readers[3]?.over, 'told nothing');
  t.equal(new Set(waiting.map(({ socket }) => socket)).size, 2, 'two connections');
});

t.test('a connection that fails is told to whoever has waited longest; the others get another', async (t) => {
  const fails: ((error: Error) => void)[] = [];
  const pool = new Pool({
    origin: 'http://up.example',
    connections: 1,
    idleTimeout: 0,
    maxHeadBytes: 16_384,
    longExchanges: 8,
    queueTimeout: 2_000,
    connect: (_where, done) => void fails.push((error) => done(error, null)),
  });
  const [first, second] = [new Told(), new Told()];
  pool.dispatch(GET, first);
  pool.dispatch(GET, second);
  t.equal(fails.length, 1, 'no more attempts than connections');
  fails[0]?.(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }));
  t.equal(first.error?.code, 'ECONNREFUSED');
  t.notOk(second.over);
  t.equal(fails.length, 2);
  pool.close();
  t.equal(second.error?.code, 'closed');
  t.throws(() => pool.dispatch(GET, new Told()), { code: 'closed' });
});

t.test('idle connections are left before the upstream may end them', async (t) => {
  const ends: Promise<unknown>[] = [];
  const origin = await upstream(t, (socket) => {
    ends.push(once(socket, 'end'));
    socket.on('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=2\r\nContent-Length: 2\r\n\r\nhi');
    });
  });
  const pool = poolOf(t, origin);
  // Its timer is not to keep a process alive that has nothing else to do; here it is waited for.
  const alive = setInterval(() => {}, 1_000);
  t.teardown(() => clearInterval(alive));
  const started = performance.now();
  await told(pool);
  await ends[0];
  const after = performance.now() - started;
  t.ok(after > 900, `after ${after.toFixed(0)} ms`);
});

t.test('a connection that nobody needs any more when it is open is left as well', async (t) => {
  let ended: Promise<unknown> | undefined;
  const origin = await upstream(t, (socket) => {
    ended = once(socket.resume(), 'end');
  });
  const alive = setInterval(() => {}, 1_000);
  t.teardown(() => clearInterval(alive));
  const reader = new Told();
  poolOf(t, origin).dispatch(GET, reader);
  reader.waiting?.cancel();
  await until(() => ended);
  await ended;
  t.notOk(reader.over);
});

t.test('sockets that never become connections are the connector’s', async (t) => {
  const origin = await upstream(t, () => {});
  const socket = connect({ port: Number(new URL(origin).port), host: '127.0.0.1', onread: READING });
  await once(socket, 'connect');
  t.equal(READING.callback.call(socket, 1, Buffer.from('x')), false);
  t.ok(socket.destroyed, 'bytes for nobody end it');
});

t.test(
  'a request that changes nothing is sent once more where the upstream had left the connection',
  async (t) => {
    const requests: string[] = [];
    const origin = await upstream(t, (socket) => {
      let served = 0;
      socket.on('data', (chunk) => {
        requests.push(chunk.toString('latin1').split(' ')[0] as string);
        // Each connection serves one request, and does not say so.
        if (served++ === 0) socket.write(OK);
        else socket.resetAndDestroy();
      });
    });
    for (const method of ['GET', 'OPTIONS']) {
      const pool = poolOf(t, origin);
      await told(pool);
      requests.length = 0;
      t.ok((await told(pool, { method })).ended, method);
      t.same(requests, [method, method]);
    }
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const pool = poolOf(t, origin);
      await told(pool);
      requests.length = 0;
      t.ok((await told(pool, { method })).error, method);
      t.same(requests, [method], 'once');
    }
  },
);

t.test('a request is not sent once more where it may have been answered, or a third time', async (t) => {
  let requests = 0;
  /** An upstream that answers the first request of its first connection, and then does something else. */
  const breaking = (then: (socket: Socket) => void): Promise<string> =>
    upstream(t, (socket, serial) => {
      let served = 0;
      socket.on('data', () => {
        requests++;
        if (serial === 0 && served++ === 0) socket.write(OK);
        else then(socket);
      });
    });
  const begun = poolOf(t, await breaking((socket) => void socket.end('H')));
  await told(begun);
  t.ok((await told(begun)).error);
  t.equal(requests, 2, 'a first byte had come');

  requests = 0;
  const twice = poolOf(t, await breaking((socket) => socket.resetAndDestroy()));
  await told(twice);
  t.ok((await told(twice)).error);
  t.equal(requests, 3, 'one answered, one left alone, one on a new connection');
  t.ok((await told(twice)).error);
  t.equal(requests, 4, 'a new connection that fails is a failure');
});
