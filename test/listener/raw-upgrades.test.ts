import t from 'tap';
import { startTestGateway, type TestGateway } from '../gateway.js';
import { until } from '../until.js';
import { open, parseAnswers, sendRaw } from '../wire.js';

const GET = 'GET /get HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\n';
const H2C = `${GET}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`;
const HANDSHAKE = `${GET}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
const PLAIN = `${GET}\r\n`;

/** How many requests the gateway is at work on. */
async function inFlight({ adminUrl }: TestGateway): Promise<number> {
  const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
  return Number(/^scopegate_requests_in_flight (\d+)/m.exec(metrics)?.[1]);
}

t.test(
  'an upgrade behind requests that wait for their answers ends the connection after these',
  async (t) => {
    for (const upgrade of [H2C, HANDSHAKE]) {
      const gate = await startTestGateway(t);
      const result = await sendRaw(gate.port, PLAIN + PLAIN + upgrade + PLAIN, { answers: 4 });
      t.same(
        result.answers.map(({ status }) => status),
        [200, 200],
      );
      t.ok(result.closed, 'and the connection ends');
      t.equal(gate.upstream.received.length, 2);
      t.equal((await sendRaw(gate.port, PLAIN)).answers[0]?.status, 200, 'others are served');
    }
  },
);

t.test('a client that resets while its upgrade is decided about', async (t) => {
  let answer = (): void => {};
  for (const upgrade of [H2C, HANDSHAKE]) {
    const gate = await startTestGateway(t);
    gate.endpoint.gate = new Promise((resolve) => {
      answer = resolve;
    });
    const socket = await open(gate.port);
    socket.write(upgrade);
    await until(() => gate.endpoint.asked.length > 0);
    socket.resetAndDestroy();
    await until(async () => (await inFlight(gate)) === 0);
    answer();
    gate.endpoint.gate = undefined;
    await until(() => gate.log.some(({ audit }) => audit !== undefined));
    t.equal(gate.upstream.received.length, 0, 'nothing goes upstream for a client that is gone');
    t.equal((await sendRaw(gate.port, PLAIN)).answers[0]?.status, 200, 'others are served');
  }
});

t.test('a client that resets while an answer is awaited that an upgrade follows', async (t) => {
  const held: (() => void)[] = [];
  const gate = await startTestGateway(t, {
    respond: (_message, response) => {
      held.push(() => response.end('late'));
    },
  });
  const socket = await open(gate.port);
  socket.write(PLAIN + H2C);
  await until(() => held.length > 0);
  socket.resetAndDestroy();
  const [request] = gate.upstream.received;
  await new Promise((resolve) => request?.message.socket.once('close', resolve));
  t.pass('the upstream request is cancelled');
});

t.test('an answer is whole that an upgrade was sent behind', async (t) => {
  const gate = await startTestGateway(t, {
    respond: (_message, response) => {
      response.writeHead(200, { 'content-length': 400_000 });
      response.end(Buffer.alloc(400_000, 'x'));
    },
  });
  const { answers, raw, closed } = await sendRaw(gate.port, PLAIN + HANDSHAKE, { answers: 2 });
  t.equal(answers[0]?.body.length, 400_000);
  t.equal(parseAnswers(raw).length, 1);
  t.ok(closed);
});

t.test('a client that is gone before its request is read has no request', async (t) => {
  const gate = await startTestGateway(t);
  for (let i = 0; i < 300; i++) {
    const socket = await open(gate.port);
    socket.write(PLAIN, () => socket.resetAndDestroy());
  }
  t.equal((await sendRaw(gate.port, PLAIN)).answers[0]?.status, 200);
  for (const { headers } of gate.upstream.received) {
    if (headers['x-forwarded-for'] !== '127.0.0.1') t.fail(`X-Forwarded-For ${headers['x-forwarded-for']}`);
  }
});

t.test('a handshake that the connection does not ask for is a plain request', async (t) => {
  const gate = await startTestGateway(t);
  for (const connection of [
    '',
    'Connection: keep-alive\r\n',
    'Connection: close\r\n',
    'Connection: upgraded\r\n',
  ]) {
    gate.upstream.received.length = 0;
    const { answers } = await sendRaw(
      gate.port,
      HANDSHAKE.replace(
        'Connection: Upgrade\r\n',
        `${connection}X-User: admin\r\nX-Forwarded-For: 6.6.6.6\r\n`,
      ),
    );
    t.equal(answers[0]?.status, 200, JSON.stringify(connection));
    const [got] = gate.upstream.received;
    t.match(got?.headers, { via: /scopegate/, 'x-forwarded-for': '127.0.0.1' });
    t.notOk('x-user' in (got?.headers ?? {}), 'cleaned as every request');
    t.notOk('upgrade' in (got?.headers ?? {}));
  }
});
