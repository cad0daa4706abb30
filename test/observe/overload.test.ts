import type { ServerResponse } from 'node:http';
import t from 'tap';
import { request } from 'undici';
import { OverloadProtection, watchLoop } from '../../src/observe/overload.js';
import { ask } from '../ask.js';
import { startTestGateway } from '../gateway.js';
import { sendRaw } from '../wire.js';
import { readExposition } from './exposition.js';

t.test('requests in flight have a limit, and none where it is 0', async (t) => {
  const admission = new OverloadProtection({ maxInFlight: 2, maxEventLoopDelay: 0 });
  t.same([admission.enter(), admission.enter(), admission.enter()], [undefined, undefined, 'in_flight']);
  t.equal(admission.inFlight, 2, 'what was turned away is not in flight');
  admission.leave();
  t.equal(admission.enter(), undefined);
  const open = new OverloadProtection({ maxInFlight: 0, maxEventLoopDelay: 0 });
  const refused = Array.from({ length: 10_000 }, () => open.enter()).filter((cause) => cause !== undefined);
  t.same(refused, []);
  open.observe(1e9);
  open.observe(1e9);
  t.equal(open.share, 1);
});

t.test('where the event loop stays late, a falling share is let in, exactly so many', async (t) => {
  const admission = new OverloadProtection({ maxInFlight: 0, maxEventLoopDelay: 100 });
  /** Of a thousand, how many are let in. */
  const admitted = () => {
    let count = 0;
    for (let i = 0; i < 1000; i++) if (admission.enter() === undefined) count++;
    return count;
  };
  admission.observe(3_000);
  t.equal(admitted(), 1000, 'one pause is none of the load’s doing');
  admission.observe(100);
  admission.observe(101);
  t.equal(admitted(), 1000, 'and two of them are still none');
  admission.observe(101);
  t.equal(admission.share, 0.7);
  t.ok(Math.abs(admitted() - 700) <= 1);
  for (let i = 0; i < 100; i++) admission.observe(500);
  t.equal(admission.share, 0.05);
  t.ok(Math.abs(admitted() - 50) <= 1, 'some are always let in: else nobody would see that there is room');
  const shares: number[] = [];
  while (admission.share < 1) {
    admission.observe(0);
    shares.push(admission.share);
  }
  t.equal(shares.length, 19, 'it recovers in steps');
  t.equal(admitted(), 1000);
});

t.test('few requests are let in however late the loop is: others make it late', async (t) => {
  const admission = new OverloadProtection({ maxInFlight: 0, maxEventLoopDelay: 100 });
  for (let i = 0; i < 100; i++) admission.observe(500);
  const causes = Array.from({ length: 40 }, () => admission.enter());
  t.same(new Set(causes.slice(0, 16)), new Set([undefined]));
  t.ok(causes.slice(16).includes('event_loop'));
  for (let i = 0; i < 100; i++) {
    while (admission.inFlight > 0) admission.leave();
    t.equal(admission.enter(), undefined, 'one after the other');
  }
});

t.test('a loop that is kept busy is seen to be late', async (t) => {
  const admission = new OverloadProtection({ maxInFlight: 0, maxEventLoopDelay: 5 });
  const stop = watchLoop(admission);
  t.teardown(stop);
  const end = performance.now() + 20_000;
  while (admission.share === 1 && performance.now() < end) {
    const until = performance.now() + 30;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve));
  }
  t.ok(admission.share < 1);
});

t.test('at the limit: 503 with Retry-After, health answers, and nothing is lost of it', async (t) => {
  const held: ServerResponse[] = [];
  const gate = await startTestGateway(t, {
    settings: { server: { maxInFlight: 2 } },
    respond: (_message, response) => void held.push(response),
  });
  const one = ask(gate, '/x', { token: 'good-read' });
  const other = ask(gate, '/x', { token: 'good-read' });
  while (held.length < 2) await new Promise(setImmediate);

  const refused = await ask(gate, '/x', { token: 'good-read' });
  t.equal(refused.status, 503);
  t.equal(refused.headers['retry-after'], '1');
  t.same(JSON.parse(refused.text), {
    error: {
      code: 503,
      status: 'Service Unavailable',
      message: 'The gateway is overloaded or shutting down',
      reason: 'too many requests at once',
    },
  });
  const body = await ask(gate, '/post', { method: 'POST', token: 'good-write', body: 'x'.repeat(100_000) });
  t.equal(body.status, 503, 'with a body, too');
  const upgrade =
    'GET /x HTTP/1.1\r\nHost: gate.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n';
  const raw = await sendRaw(gate.port, `${upgrade}GET /y HTTP/1.1\r\nHost: gate.example\r\n\r\n`);
  t.same(
    raw.answers.map(({ status }) => status),
    [503],
    'a handshake, too, and its connection ends',
  );
  const question = await request(`${gate.adminUrl}/decisions`, {
    headers: {
      'x-forwarded-method': 'GET',
      'x-forwarded-host': 'gate.example',
      'x-forwarded-uri': '/x',
      authorization: 'Bearer good-read',
    },
  });
  t.equal(question.statusCode, 503, 'and a proxy that asks');
  t.equal(question.headers['retry-after'], '1');
  await question.body.dump();
  for (const path of ['/health/alive', '/health/ready']) {
    const health = await request(gate.adminUrl + path);
    t.equal(health.statusCode, 200, path);
    await health.body.dump();
  }
  t.equal(held.length, 2, 'none of them came to the upstream');

  for (const response of held.splice(0)) response.end('done');
  t.same([(await one).status, (await other).status], [200, 200]);
  const after = ask(gate, '/x', { token: 'good-read' });
  while (held.length < 1) await new Promise(setImmediate);
  held[0]?.end();
  t.equal((await after).status, 200, 'there is room again');

  const metrics = await request(`${gate.adminUrl}/metrics`);
  const { samples } = readExposition(await metrics.body.text());
  const value = (name: string, labels: object) =>
    samples
      .filter((sample) => sample.name === name)
      .find((sample) => Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted))
      ?.value;
  t.equal(value('scopegate_requests_shed_total', { cause: 'in_flight' }), 4);
  t.equal(value('scopegate_errors_total', { rule: 'none', error: 'overloaded' }), 4);
  const turnedAway = { decision: 'deny', status: '503', rule: 'none' };
  t.equal(value('scopegate_requests_total', { ...turnedAway, method: 'POST', entrance: 'proxy' }), 1);
  t.equal(value('scopegate_requests_total', { ...turnedAway, method: 'GET', entrance: 'decisions' }), 1);
  t.equal(value('scopegate_requests_in_flight', {}), 0);
  await gate.gateway.close();
  const line = { audit: 1, decision: 'deny', error: 'overloaded', status: 503, cause: 'in_flight' };
  t.match(
    gate.log.filter(({ msg }) => msg === 'overloaded'),
    [
      { ...line, entrance: 'proxy', requests: 3 },
      { ...line, entrance: 'decisions', requests: 1 },
    ],
  );
  t.equal(gate.log.filter(({ msg }) => msg === 'decision').length, 3);
});
