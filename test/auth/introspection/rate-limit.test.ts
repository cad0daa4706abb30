import t from 'tap';
import { UnknownTokenLimiter } from '../../../src/auth/introspection/rate-limit.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { until } from '../../until.js';
import { crowdWithOneToken, floodWithBadTokens, start, watchArrivals } from './rate-limit.js';

t.test('hundreds of distinct bad tokens: calls bounded, good tokens still served', (t) =>
  floodWithBadTokens(t, 500),
);

t.test(
  'hundreds of requests with one new token make one introspection; who leaves cancels nobody else',
  (t) => crowdWithOneToken(t, 200),
);

t.test('a failure is shared by those who wait, and not by those who come after', async (t) => {
  const gate = await start(t, { timeout: '30s' });
  const waiting = watchArrivals(t, gate);
  let open = (): void => {};
  gate.endpoint.gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  gate.endpoint.fault = (_message, response) => void response.writeHead(500).end();
  const asking = Array.from({ length: 50 }, () => ask(gate, '/x', { token: 'good-read' }));
  await until(() => waiting() >= 50 && gate.endpoint.asked.length === 1);
  open();
  for (const reply of await Promise.all(asking)) t.equal(reply.status, 503);
  t.equal(gate.endpoint.asked.length, 1);
  gate.endpoint.fault = undefined;
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
});

t.test('a client with too many unknown tokens gets 429, and its good ones go on', async (t) => {
  const gate = await start(t, { flood: { badTokens: 2, per: '1h' } });
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  for (const token of ['a', 'b']) t.equal((await ask(gate, '/x', { token })).status, 401);
  const limited = await ask(gate, '/x', { token: 'c' });
  t.equal(limited.status, 429);
  t.equal(limited.headers['retry-after'], '1800');
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  t.equal(gate.endpoint.asked.length, 3);
});

const limits = { badTokens: 3, per: 60_000, maxClients: 2 };

t.test('a client has so many places, one is free again after its part of the time', async (t) => {
  const clock = fakeClock();
  const limiter = new UnknownTokenLimiter(limits, clock);
  for (let i = 0; i < 3; i++) t.equal(limiter.take('192.0.2.1'), 0);
  t.equal(limiter.take('192.0.2.1'), 20_000);
  t.equal(limiter.take('192.0.2.2'), 0, 'another client has its own');
  clock.advance(19_999);
  t.equal(limiter.take('192.0.2.1'), 1);
  clock.advance(1);
  t.equal(limiter.take('192.0.2.1'), 0);
  t.equal(limiter.take('192.0.2.1'), 20_000);
  clock.advance(600_000);
  for (let i = 0; i < 3; i++) t.equal(limiter.take('192.0.2.1'), 0);
  t.equal(limiter.take('192.0.2.1'), 20_000, 'no more after a long rest');
});

t.test('a place that is given back is there at once, and only for who had it', async (t) => {
  const clock = fakeClock();
  const limiter = new UnknownTokenLimiter(limits, clock);
  for (let i = 0; i < 3; i++) t.equal(limiter.take('192.0.2.1'), 0);
  limiter.giveBack('192.0.2.1');
  t.equal(limiter.take('192.0.2.1'), 0);
  t.equal(limiter.take('192.0.2.1'), 20_000);
  limiter.giveBack('192.0.2.9');
  t.equal(limiter.size, 1, 'a client that nobody remembers is not remembered for that');
  t.equal(limiter.take('192.0.2.9'), 0);
  t.equal(limiter.take('192.0.2.8'), 0);
  t.equal(limiter.size, 2, 'so many are remembered');
});

t.test('an IPv6 client is its network of 64 bits, however its address is written', async (t) => {
  for (const [one, other, same] of [
    ['2001:db8:1:2::5', '2001:db8:1:2:3:4:5:6', true],
    ['2001:db8:1:2:3::5', '2001:0db8:0001:0002:4::', true],
    ['2001:db8:1:2::5', '2001:db8:1:3::5', false],
    ['1::2:3:4:5:6:7', '1:0:2:3::', true],
    ['1::2:3:4:5:6:7', '1:0:2:4::', false],
    ['::1', '0:0:0:0:9::', true],
    ['1::', '1:0:0:0:9::', true],
    ['::1:2:3:4:5:192.0.2.1', '0:1:2:3::', true],
    ['::1:2:3:4:5:192.0.2.1', '0:0:1:2::', false],
    ['fe80::1%eth0', 'fe80::2', true],
    ['2001:DB8::1', '2001:db8::2', true],
    ['192.0.2.1', '192.0.2.2', false],
  ] as const) {
    const limiter = new UnknownTokenLimiter({ ...limits, badTokens: 1 }, fakeClock());
    t.equal(limiter.take(one), 0);
    t.equal(limiter.take(other) > 0, same, `${one} and ${other}`);
  }
});
