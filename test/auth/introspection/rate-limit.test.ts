import t from 'tap';
import { ask } from '../../ask.js';
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
