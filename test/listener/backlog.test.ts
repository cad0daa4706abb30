import { connect } from 'node:net';
import t from 'tap';
import { startChild } from '../child.js';
import { apiRule } from '../gateway.js';
import { until } from '../until.js';

/** More than the 511 that Node asks the system to keep for it. */
const CLIENTS = 1_000;

t.test('clients that come all at once while it is busy are connected, and served', async (t) => {
  const rules = apiRule('gate.example', [
    { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'oauth2_introspection' }] },
  ]);
  const services = { default: 'http://127.0.0.1:1' };
  const gate = await startChild(
    t,
    { services, introspection: { url: 'http://127.0.0.1:1/' }, server: { maxInFlight: 0 } },
    rules,
  );
  // Held up: what connects now waits in the system's queue.
  gate.process.kill('SIGSTOP');
  let connected = 0;
  let answered = 0;
  const sockets = Array.from({ length: CLIENTS }, () => {
    const socket = connect(gate.port, '127.0.0.1', () => connected++);
    socket.on('error', (error) => t.fail(error.message));
    socket.once('data', (chunk) => {
      if (chunk.toString('latin1').startsWith('HTTP/1.1 401')) answered++;
    });
    socket.write('GET / HTTP/1.1\r\nHost: gate.example\r\n\r\n');
    return socket;
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  await until(() => connected === CLIENTS);
  t.equal(answered, 0);
  gate.process.kill('SIGCONT');
  await until(() => answered === CLIENTS);
  t.equal(answered, CLIENTS, 'each has its answer');
});
