import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { Pipelines } from '../../src/listener/pipelining.js';
import { until } from '../until.js';

const REQUEST = 'GET / HTTP/1.1\r\nHost: gate.example\r\n\r\n';

/** A server of nothing but the pipelines. */
async function serve(t: Test, handler: RequestListener): Promise<number> {
  const pipelines = new Pipelines(1, handler);
  const server = createServer(pipelines.serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Sends requests at once on a connection of their own. @returns how many were answered before it closed */
async function pipeline(port: number, requests: number): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    text += chunk;
    if (text.split('HTTP/1.1 200').length > requests) socket.end();
  });
  socket.write(REQUEST.repeat(requests));
  await once(socket, 'close');
  return text.split('HTTP/1.1 200').length - 1;
}

t.test('what waited on connections before takes no room from those that come after', async (t) => {
  const port = await serve(t, (_message, response) => response.end());
  // Together they are many more than may wait at once.
  for (let i = 0; i < 48; i++) t.equal(await pipeline(port, 128), 128, `connection ${i}`);
});

t.test('each response tells once that it is over, whenever its client leaves', async (t) => {
  const closes = new Map<ServerResponse, number>();
  const responses: ServerResponse[] = [];
  const port = await serve(t, (message, response) => {
    closes.set(response, 0);
    responses.push(response);
    response.on('close', () => closes.set(response, (closes.get(response) ?? 0) + 1));
    // The last one is never answered.
    if (message.headers['x-last'] === undefined) response.end();
  });
  const socket = connect(port, '127.0.0.1');
  socket.resume();
  socket.write(REQUEST.repeat(3));
  await until(() => responses.length === 3 && responses.every(({ closed }) => closed));
  const served = responses[0]?.req.socket as Socket;
  socket.destroy();
  await once(served, 'close');
  t.same([...closes.values()], [1, 1, 1], 'of responses that were complete');

  const other = connect(port, '127.0.0.1');
  other.write(REQUEST.replace('\r\n\r\n', '\r\nX-Last: 1\r\n\r\n') + REQUEST);
  await until(() => responses.length === 4);
  const busy = responses[3] as ServerResponse;
  const ended = once(busy, 'close');
  other.destroy();
  await ended;
  t.equal(closes.get(busy), 1, 'of one that is at work');
  t.equal(responses.length, 4, 'what waited never began');
});
