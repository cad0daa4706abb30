import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { Pipelines } from '../../src/listener/pipelining.js';
import { type ServeUpgrade, serveUpgrades } from '../../src/listener/upgrade.js';
import { until } from '../until.js';
import { open } from '../wire.js';

const UPGRADE = 'GET / HTTP/1.1\r\nHost: gate.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** A server whose upgrades are served so. */
async function start(t: Test, serve: ServeUpgrade) {
  const faults: unknown[] = [];
  const server = createServer();
  // A time that no test waits for.
  serveUpgrades(server, new Pipelines(1, () => {}), serve, (_, error) => faults.push(error), 60_000);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const connections = () =>
    new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
  return { port: (server.address() as AddressInfo).port, faults, connections };
}

t.test(
  'a connection that is taken has no response any more, and is what the taker makes of it',
  async (t) => {
    let response: ServerResponse | undefined;
    const { port } = await start(t, (_message, given, connection) => {
      response = given;
      const socket = connection.take();
      t.equal(connection.early.toString(), 'early');
      t.equal(given.socket, null, 'nothing of the request is kept for as long as the connection lasts');
      socket?.end('another protocol');
      t.equal(socket?.listenerCount('drain'), 0);
    });
    const client = await open(port);
    client.write(`${UPGRADE}early`);
    const [data] = await once(client, 'data');
    t.equal(String(data), 'another protocol');
    await once(client, 'end');
    t.notOk(response?.writableEnded);
    client.destroy();
  },
);

t.test('a connection that is closed already cannot be taken', async (t) => {
  let taken: unknown = 'not asked';
  const { port } = await start(t, (message, _response, connection) => {
    message.socket.destroy();
    taken = connection.take();
  });
  const client = await open(port);
  client.write(UPGRADE);
  await once(client, 'close');
  t.equal(taken, undefined);
});

t.test('a client that is answered and goes on sending is read until it leaves', async (t) => {
  const { port, connections } = await start(t, (_message, response) => void response.end('no'));
  const client = await open(port);
  let got = '';
  client.on('data', (data) => {
    got += data;
  });
  client.write(UPGRADE);
  client.write(Buffer.alloc(600_000));
  await once(client, 'end');
  t.match(got, /^HTTP\/1\.1 200 OK\r\n/);
  t.match(got, /^Connection: close\r$/m);
  t.match(got, /no$/);
  client.end();
  await until(async () => (await connections()) === 0);
});

t.test('an exception ends the connection, and is told of', async (t) => {
  const { port, faults } = await start(t, () => {
    throw new TypeError('a fault');
  });
  const client = await open(port);
  client.write(UPGRADE);
  await once(client, 'close');
  t.match(faults, [TypeError]);
});
