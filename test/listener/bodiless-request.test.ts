import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import t from 'tap';
import { skipBodyRead } from '../../src/listener/bodiless-request.js';
import { type Fields, readFields } from '../../src/parse/fields.js';
import { until } from '../until.js';
import { sendRaw } from '../wire.js';

t.test('only what has a body is read to its end, and connections go on either way', async (t) => {
  const ended: string[] = [];
  const server = createServer((message, response) => {
    skipBodyRead(message, readFields(message.rawHeaders, message.httpVersion) as Fields);
    message.on('end', () => ended.push(message.url as string));
    // Answered before the body has come.
    response.end('fine');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const bytes = [
    'GET /none HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST /empty HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n',
    'POST /counted HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
    'POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  ].join('');
  const { answers } = await sendRaw((server.address() as AddressInfo).port, bytes);
  t.same(
    answers.map(({ status, body }) => [status, body.toString()]),
    Array(5).fill([200, 'fine']),
  );
  // This also says that Node's flag is still there.
  t.same(ended, ['/counted', '/chunked']);
});

t.test('a connection that waits for its next request does not hold on to the last one', async (t) => {
  const sockets: Socket[] = [];
  const server = createServer((message, response) => {
    skipBodyRead(message, readFields(message.rawHeaders, message.httpVersion) as Fields);
    response.end('fine');
  }).listen(0, '127.0.0.1');
  server.on('connection', (socket) => sockets.push(socket));
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.teardown(() => {
    client.destroy();
    server.close();
  });
  client.write('GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer secret\r\n\r\n');
  await once(client, 'data');
  // Where Node keeps the message that is being read.
  const held = () => (sockets[0] as Socket & { parser?: { incoming: unknown } }).parser?.incoming;
  await until(() => held() === null);
  t.equal(held(), null);
});
