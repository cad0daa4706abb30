import type { ServerResponse } from 'node:http';
import t, { type Test } from 'tap';
import { ask } from '../ask.js';
import { type Child, startChild } from '../child.js';
import { VECTOR_RULES, VECTOR_TOKENS } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { open, parseAnswers } from '../wire.js';

/** One token more for each request that must be known to have arrived. */
const TOKENS = {
  ...VECTOR_TOKENS,
  ...Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`write-${i}`, { scope: 'write' }])),
};

/** A gateway in a process of its own, before an upstream that holds its answers back until it is told. */
async function start(t: Test, settings: object = {}) {
  const held: ServerResponse[] = [];
  let holding = true;
  const answer = (response: ServerResponse): void => void response.writeHead(200).end('done');
  const upstream = await startUpstream((_message, response) => {
    if (holding) held.push(response);
    else answer(response);
  });
  const endpoint = await startIntrospection(TOKENS);
  t.teardown(() => Promise.all([upstream.close(), endpoint.close()]));
  const child = await startChild(
    t,
    {
      services: { default: upstream.url },
      introspection: { url: endpoint.url },
      matching: { overlap: 'specific' },
      ...settings,
    },
    VECTOR_RULES,
  );
  const release = (): void => {
    holding = false;
    for (const response of held.splice(0)) answer(response);
  };
  return { upstream, endpoint, child, release, held };
}

const ready = async ({ adminUrl }: Child): Promise<number> =>
  (await fetch(`${adminUrl}/health/ready`)).status;

/** Whether a new connection is refused. */
async function refusesConnections({ port }: Child): Promise<boolean> {
  try {
    const socket = await open(port);
    socket.destroy();
    return false;
  } catch {
    return true;
  }
}

t.test('SIGTERM under load: what is in flight is answered, nothing new is taken, exit 0', async (t) => {
  const { child, endpoint, release, held } = await start(t, { server: { drainGrace: '0s' } });
  t.equal(await ready(child), 200);
  let introspected = (): void => {};
  const waiting = 20;
  const inFlight = Array.from({ length: 50 }, () => ask(child, '/x', { token: 'good-read' }));
  await until(() => held.length === 50);
  endpoint.gate = new Promise((resolve) => {
    introspected = resolve;
  });
  // These wait for the authorization server when the signal comes.
  const undecided = Array.from({ length: waiting }, (_, i) =>
    ask(child, '/post', { method: 'POST', token: `write-${i}`, body: 'x' }),
  );
  // And this one is being sent.
  const uploading = await open(child.port);
  let uploaded = Buffer.alloc(0);
  uploading.on('data', (chunk) => {
    uploaded = Buffer.concat([uploaded, chunk]);
  });
  uploading.write(
    'POST /post HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer write-20\r\nContent-Length: 10\r\n\r\nhello',
  );
  await until(() => endpoint.asked.length === 1 + waiting + 1);
  // A connection that is open, and idle.
  const idle = await open(child.port);
  const idleEnded = new Promise((resolve) => idle.once('close', resolve));
  idle.resume();

  const signalled = performance.now();
  child.process.kill('SIGTERM');
  await until(async () => (await ready(child)) === 503);
  await until(() => refusesConnections(child));
  await idleEnded;
  introspected();
  uploading.write('world');
  await until(() => held.length === 50 + waiting + 1);
  release();
  const replies = await Promise.all([...inFlight, ...undecided]);
  t.same(
    [...new Set(replies.map(({ status, text }) => `${status} ${text}`))],
    ['200 done'],
    'all 70 were answered',
  );
  await until(() => parseAnswers(uploaded).length === 1);
  t.equal(parseAnswers(uploaded)[0]?.status, 200, 'the upload too');
  t.equal(await child.ended, 0);
  t.ok(
    performance.now() - signalled < 20_000,
    'long before the drain’s time is up: kept-alive connections do not hold it',
  );
  const lines = child
    .output()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  t.match(
    lines.find(({ msg }) => msg === 'ended'),
    { drained: true },
  );
  t.equal(
    lines.filter(({ msg }) => msg === 'decision').length,
    71,
    'one audit line each, none lost at the end',
  );
});

t.test('a request that comes on an idle connection just after the signal is answered', async (t) => {
  const { child, release } = await start(t, { server: { drainGrace: '1h' } });
  release();
  const request = 'GET /x HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\n\r\n';
  const clients = await Promise.all(
    [1, 2, 3].map(async () => {
      const socket = await open(child.port);
      const got: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => got.push(chunk)).write(request);
      await until(() => parseAnswers(Buffer.concat(got)).length === 1);
      return { socket, answers: () => parseAnswers(Buffer.concat(got)) };
    }),
  );
  child.process.kill('SIGTERM');
  await until(() => refusesConnections(child));
  for (const { socket } of clients) socket.write(request);
  for (const { socket, answers } of clients) {
    await until(() => socket.closed);
    t.same(
      answers().map(({ status, headers }) => [status, headers.get('connection')?.[0]]),
      [
        [200, 'keep-alive'],
        [200, 'close'],
      ],
    );
  }
  t.equal(await child.ended, 0, 'and the drain ends when no connection is open, however long it might wait');
});

t.test('SIGINT drains, too', async (t) => {
  const { child, release, held } = await start(t);
  const asked = ask(child, '/x', { token: 'good-read' });
  await until(() => held.length === 1);
  child.process.kill('SIGINT');
  await until(async () => (await ready(child)) === 503);
  release();
  t.equal((await asked).status, 200);
  t.equal(await child.ended, 0);
});

t.test('a request that never ends is cut when the time is up', async (t) => {
  const { child, held } = await start(t, { server: { drainTimeout: '300ms' } });
  const asked = ask(child, '/x', { token: 'good-read' }).then(
    () => 'answered',
    () => 'cut',
  );
  await until(() => held.length === 1);
  child.process.kill('SIGTERM');
  t.equal(await child.ended, 0);
  t.equal(await asked, 'cut');
  t.match(child.output(), /"drained":false/);
});

t.test('a second signal ends it at once', async (t) => {
  const { child, held } = await start(t);
  const asked = ask(child, '/x', { token: 'good-read' }).then(
    () => 'answered',
    () => 'cut',
  );
  await until(() => held.length === 1);
  child.process.kill('SIGTERM');
  await until(async () => (await ready(child)) === 503);
  const signalled = performance.now();
  child.process.kill('SIGTERM');
  await child.ended;
  t.ok(performance.now() - signalled < 5_000, 'though a request was in flight and the drain had 30 s');
  t.equal(await asked, 'cut');
});
