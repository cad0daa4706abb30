import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { readFields } from '../../src/parse/fields.js';
import { endsConnection, parseRequest, webSocketKey } from '../../src/parse/parsed-request.js';
import { open } from '../wire.js';

/** Sends bytes to a server, and hands out the message that Node makes of them. */
async function arriving(t: Test): Promise<(bytes: string) => Promise<IncomingMessage>> {
  const server = createServer({ requireHostHeader: false }, () => {});
  server.on('upgrade', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return async (bytes) => {
    const arrived = Promise.race([once(server, 'request'), once(server, 'upgrade')]);
    const socket = await open(port);
    t.teardown(() => socket.destroy());
    socket.write(bytes);
    return (await arrived)[0] as IncomingMessage;
  };
}

t.test(
  'a connection ends with a request that says so, and in HTTP/1.0 with one that does not say more',
  async (t) => {
    const arrive = await arriving(t);
    for (const [version, connection, ends] of [
      ['1.1', undefined, false],
      ['1.1', 'keep-alive', false],
      ['1.1', 'close', true],
      ['1.1', 'x', false],
      ['1.1', 'keep-alive, close', true],
      ['1.0', undefined, true],
      ['1.0', 'keep-alive', false],
      ['1.0', 'x', true],
      ['1.0', 'Keep-Alive, Close', true],
    ] as const) {
      const field = connection === undefined ? '' : `Connection: ${connection}\r\n`;
      const message = await arrive(`GET / HTTP/${version}\r\nHost: h\r\n${field}\r\n`);
      const fields = readFields(message.rawHeaders, version);
      if ('refused' in fields) throw new Error(fields.refused);
      t.equal(endsConnection(message, fields), ends, `HTTP/${version} ${connection}`);
    }
  },
);

t.test('a target of the greatest length is read, and a method that no gateway serves is not', async (t) => {
  const arrive = await arriving(t);
  const limits = { maxTargetBytes: 10, maxHeaderBytes: 1_000 };
  for (const [method, target, error] of [
    ['GET', '/123456789', undefined],
    ['GET', '/1234567890', 'target_too_long'],
    ['TRACE', '/', 'method_refused'],
    ['DELETE', '/', undefined],
  ] as const) {
    const message = await arrive(`${method} ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);
    const parsed = parseRequest(message, target, limits);
    t.equal('refused' in parsed ? parsed.error : undefined, error, `${method} ${target}`);
  }
  for (const [version, error] of [
    ['1.1', undefined],
    ['1.0', undefined],
    ['0.9', 'malformed_request'],
    ['2.0', 'malformed_request'],
  ] as const) {
    const parsed = parseRequest(await arrive(`GET / HTTP/${version}\r\nHost: h\r\n\r\n`), '/', limits);
    t.equal('refused' in parsed ? parsed.error : undefined, error, `HTTP/${version}, as a text`);
  }
});

t.test('a WebSocket handshake has a key of 16 bytes, and is a GET of HTTP/1.1 with a version', async (t) => {
  const arrive = await arriving(t);
  const key = 'dGhlIHNhbXBsZSBub25jZQ==';
  const right = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Key': key,
    'Sec-WebSocket-Version': '13',
  };
  const keyOf = async (start: string, over: Readonly<Record<string, string | undefined>> = {}) => {
    const fields = Object.entries({ ...right, ...over }).filter(([, value]) => value !== undefined);
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    return webSocketKey(await arrive(`${start}\r\nHost: h\r\n${lines}\r\n`));
  };
  t.equal(await keyOf('GET / HTTP/1.1'), key);
  t.equal(await keyOf('GET / HTTP/1.1', { Upgrade: 'WebSocket' }), key);
  t.equal(await keyOf('GET / HTTP/1.1', { 'Sec-WebSocket-Version': '8' }), key, 'for the upstream to judge');
  t.equal(await keyOf('POST / HTTP/1.1'), undefined);
  t.equal(await keyOf('GET / HTTP/1.0'), undefined);
  for (const [name, value] of [
    ['Connection', undefined],
    ['Upgrade', 'h2c'],
    ['Sec-WebSocket-Version', undefined],
    ['Sec-WebSocket-Version', '13a'],
    ['Sec-WebSocket-Version', '1300'],
    ['Sec-WebSocket-Key', undefined],
    ['Sec-WebSocket-Key', key.slice(1)],
    ['Sec-WebSocket-Key', `A${key}`],
    ['Sec-WebSocket-Key', `${key}=`],
    ['Sec-WebSocket-Key', `${key}, ${key}`],
  ] as const)
    t.equal(await keyOf('GET / HTTP/1.1', { [name]: value }), undefined, `${name}: ${value}`);
});

t.test('the two hosts of a request in HTTP/2 are the same in any case', async (t) => {
  for (const authority of ['gate.example', 'GATE.example']) {
    for (const host of ['gate.example', 'Gate.Example'])
      t.notOk(
        'refused' in readFields([':authority', authority, 'host', host], '2.0'),
        `${authority} ${host}`,
      );
    t.ok('refused' in readFields([':authority', authority, 'host', 'other.example'], '2.0'));
  }
});
