import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { SharedCacheFailures } from '../../../src/app/shared-cache-failures.js';
import { ask } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { makeClientKey } from '../../proof.js';
import { makeCertificate } from '../../stack/certificate.js';
import { until } from '../../until.js';
import { AS_USUAL, bulk, type FakeReply, type FakeStore, startFakeStore } from './fake-store.js';
import { purge, source, startFleet, status } from './fleet.js';

/** More than any reply may have, and what the buffers between two sockets may take. */
const ENOUGH = 64 * 1_048_576;

function* endless(head: string, part: Buffer): Generator<Buffer> {
  yield Buffer.from(head);
  for (;;) yield part;
}

const filled = (byte: string): Buffer => Buffer.alloc(65_536, byte);

/** What a store may answer to any command, and whether the gateway ends the connection. */
const REPLIES: Readonly<Record<string, { readonly reply: () => FakeReply; readonly ends?: boolean }>> = {
  'a string without an end': { reply: () => endless('$99999999999\r\n', filled('x')), ends: true },
  'a string of a gigabyte': { reply: () => endless('$1073741824\r\n', filled('x')), ends: true },
  'a line without an end': { reply: () => endless('+', filled('x')), ends: true },
  'an error without an end': { reply: () => endless('-ERR ', filled('x')), ends: true },
  'a number without an end': { reply: () => endless(':', filled('1')), ends: true },
  'an array that says it is huge': { reply: () => '*32000000\r\n', ends: true },
  // Each would reserve 256 MB as soon as its length has arrived.
  'arrays in arrays that say they are huge': { reply: () => '*32000000\r\n'.repeat(1_000), ends: true },
  'an array without an end': {
    reply: () => endless('*4294967295\r\n', Buffer.from(bulk('x').repeat(5_000))),
    ends: true,
  },
  'arrays in arrays without an end': {
    reply: () => endless('', Buffer.from('*1\r\n'.repeat(10_000))),
    ends: true,
  },
  'strings that together are too long': {
    reply: () => endless('*60000\r\n', Buffer.from(bulk('x'.repeat(60_000)))),
    ends: true,
  },
  'a map without an end': {
    reply: () => endless('%30000000\r\n', Buffer.from(bulk('x').repeat(5_000))),
    ends: true,
  },
  'a type that RESP does not have': { reply: () => '?what\r\n', ends: true },
  HTTP: { reply: () => 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', ends: true },
  'random bytes': { reply: () => randomBytes(65_536), ends: true },
  'an error': { reply: () => '-WRONGTYPE Operation against a key\r\n' },
  'an error of many words': { reply: () => `-ERR ${'x'.repeat(10_000)}\r\n` },
  'a number': { reply: () => ':7\r\n' },
  'an empty array': { reply: () => '*0\r\n' },
  'arrays in an array': { reply: () => '*2\r\n*1\r\n:1\r\n*1\r\n_\r\n' },
  'a map': { reply: () => `%1\r\n${bulk('__proto__')}${bulk('x')}` },
  'the truth': { reply: () => '#t\r\n' },
  null: { reply: () => '_\r\n' },
  'another text': { reply: () => bulk('x'.repeat(100)) },
  nothing: { reply: () => undefined },
};

async function start(t: Test, tls?: Awaited<ReturnType<typeof makeCertificate>>) {
  const store = await startFakeStore(t, tls);
  const clock = fakeClock();
  const key = await makeClientKey();
  const tokens: Record<string, Record<string, unknown>> = {
    bound: { scope: 'read', token_type: 'DPoP', cnf: { jkt: key.jkt } },
  };
  for (let i = 0; i < 200; i++) tokens[`t${i}`] = { scope: 'read' };
  const ca = tls === undefined ? {} : { ca: `${t.testdir({ 'ca.pem': tls.ca })}/ca.pem` };
  const fleet = await startFleet(t, { url: store.url, timeout: '100ms', ...ca }, tokens, clock);
  return { ...fleet, store, clock, key };
}

/** The value of a metric. */
async function count(gate: { readonly adminUrl: string }, name: string): Promise<number> {
  const metrics = await (await fetch(`${gate.adminUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(metrics)?.[1]);
}

/** Answers commands of one kind with something else. */
function answering(store: FakeStore, names: RegExp, reply: () => FakeReply): void {
  store.answer = ([name = '']) => (names.test(name) ? reply() : AS_USUAL);
}

t.test('whatever a store answers, requests are answered as if it were not there', async (t) => {
  const { store, gateway, clock, server } = await start(t);
  const gate = await gateway();
  let next = 0;
  for (const [what, { reply, ends = false }] of Object.entries(REPLIES)) {
    // Null says that another gateway has its turn to ask, which a gateway waits for.
    answering(store, what === 'null' ? /^GETRANGE$/ : /^(?:GETRANGE|SET|UNLINK)$/, reply);
    const failures = await count(gate, 'scopegate_shared_cache_failures_total');
    const asked = store.asked.length;
    const token = `t${next++}`;
    t.equal(await status(gate, token), 200, what);
    t.equal(source(gate), 'miss', what);
    t.ok(store.asked.length > asked, `${what}: the store was asked`);
    if (ends) {
      await until(() => gate.log.some(({ cause }) => /reply_refused/.test(String(cause))));
    }
    await until(async () => (await count(gate, 'scopegate_shared_cache_failures_total')) > failures);
    t.ok(store.most < ENOUGH, `${what}: ${store.most} bytes at the most`);
    // The store gets well, and is used again.
    store.answer = () => AS_USUAL;
    gate.log.length = 0;
    if (what === 'nothing') store.disconnect();
    await until(async () => {
      clock.advance(5_000);
      return (await purge(gate, { token: 'nobody' })).told;
    });
  }
  t.equal(server.asked.length, Object.keys(REPLIES).length, 'each token was introspected');
});

t.test('a list of purges that is no list, or has no end, keeps a gateway from the store', async (t) => {
  const { store, gateway, clock } = await start(t);
  for (const [what, { reply }] of Object.entries(REPLIES)) {
    // The first is a list, the other is waited for.
    if (what === 'an empty array' || what === 'nothing') continue;
    store.answer = ([name = '']) => (name === 'ZRANGE' ? reply() : AS_USUAL);
    const gate = await gateway({}, {}, false);
    await until(() => gate.log.some(({ msg }) => msg === 'shared cache failed'));
    const asked = store.asked.length;
    t.equal(await status(gate, 't1'), 200, what);
    t.equal(source(gate), 'miss', what);
    const looked = store.asked.slice(asked).some(([name]) => name === 'GETRANGE');
    t.notOk(looked, `${what}: nothing is taken from a store whose purges are not known`);
    await gate.gateway.close();
    clock.advance(5_000);
  }
  t.ok(store.most < ENOUGH, `${store.most} bytes at the most`);
});

t.test('a list of purges that goes on forever ends, and counts as a purge of everything', async (t) => {
  const { store, gateway } = await start(t);
  const page = `*100\r\n${bulk('x'.repeat(200)).repeat(100)}`;
  store.answer = ([name = '']) => (name === 'ZRANGE' ? page : AS_USUAL);
  const gate = await gateway();
  const pages = store.asked.filter(([name]) => name === 'ZRANGE').length;
  t.equal(pages, 101, 'ten thousand entries, and a look whether there are more');
  t.equal(await status(gate, 't1'), 200);
  const large = `*100\r\n${bulk('x'.repeat(60_000)).repeat(100)}`;
  store.answer = ([name = '']) => (name === 'ZRANGE' ? large : AS_USUAL);
  const another = await gateway();
  t.equal(store.asked.filter(([name]) => name === 'ZRANGE').length - pages, 3, 'sixteen megabytes');
  t.equal(await status(another, 't1'), 200);
});

t.test('what a store sends unasked ends its connection, and nothing else', async (t) => {
  const { store, gateway } = await start(t);
  const gate = await gateway();
  for (const [what, bytes] of [
    ['a message without an end', () => endless('>3\r\n$7\r\nmessage\r\n$99999999\r\n', filled('x'))],
    ['messages in messages', () => endless('', Buffer.from('>2\r\n'.repeat(1_000)))],
    ['a string without an end', () => endless('$99999999\r\n', filled('x'))],
  ] as const) {
    // A new subscription is what the store answers with too much.
    let subscribed = 0;
    store.answer = ([name = '']) => (name === 'SUBSCRIBE' && ++subscribed === 1 ? bytes() : AS_USUAL);
    gate.log.length = 0;
    const other = await gateway({}, {}, false);
    await until(() => other.log.some(({ cause }) => /reply_refused/.test(String(cause))));
    t.equal(await status(other, 't2'), 200, what);
    await until(() => other.log.some(({ msg }) => msg === 'listening for purges of other gateways'));
    await other.gateway.close();
  }
  t.ok(store.most < ENOUGH, `${store.most} bytes at the most`);
  t.equal(await status(gate, 't3'), 200);
});

t.test('a connection that ends in the middle of a reply is a miss', async (t) => {
  const { store, gateway, clock } = await start(t);
  const gate = await gateway();
  for (const [i, part] of [
    '$',
    '$10',
    '$10\r\n',
    '$10\r\nabc',
    '*2\r\n$1\r\nx\r\n',
    '>3\r\n',
    '-ERR',
  ].entries()) {
    store.answer = ([name = ''], socket) => {
      if (name !== 'GETRANGE') return AS_USUAL;
      socket.end(part);
      return undefined;
    };
    t.equal(await status(gate, `t${i}`), 200, JSON.stringify(part));
    t.equal(source(gate), 'miss');
    store.answer = () => AS_USUAL;
    await until(async () => {
      clock.advance(5_000);
      return (await purge(gate, { token: 'nobody' })).told;
    });
  }
});

t.test('a proof that the store neither takes nor knows is compared by the gateway itself', async (t) => {
  const { store, gateway, key, clock } = await start(t);
  const gate = await gateway({}, { enabled: true });
  for (const reply of [':1\r\n', '#t\r\n', '*0\r\n', bulk('what'), '+QUEUED\r\n']) {
    store.answer = ([name = '']) => (name === 'SET' ? reply : AS_USUAL);
    const proof = await key.prove({ uri: 'http://gate.example/x', token: 'bound', now: clock.wall() });
    const show = () => ask(gate, '/x', { headers: { authorization: 'DPoP bound', dpop: proof } });
    t.equal((await show()).status, 200, reply);
    t.equal((await show()).status, 401, `${reply}: the same proof again`);
    clock.advance(5_000);
  }
});

t.test('a scan that finds what is no name is a purge that the others were not told of', async (t) => {
  const { store, gateway } = await start(t);
  const gate = await gateway();
  store.answer = ([name = '']) => (name === 'SCAN' ? `*2\r\n${bulk('7')}*1\r\n:5\r\n` : AS_USUAL);
  t.match(await purge(gate, { all: true }), { told: false }, 'names are texts');
  t.equal(await status(gate, 't1'), 200);
});

t.test('many failures are counted, and told of once a minute', async (t) => {
  const { store, gateway, clock } = await start(t);
  const gate = await gateway();
  const warnings = () => gate.log.filter(({ msg }) => String(msg).startsWith('the shared cache fails'));
  answering(store, /^GETRANGE$/, () => '*0\r\n');
  for (let i = 0; i < 3; i++) t.equal(await status(gate, `t${i}`), 200);
  t.equal(await count(gate, 'scopegate_shared_cache_failures_total'), 3);
  t.match(warnings(), [{ cause: 'get: unexpected_reply', failures: 1 }]);
  t.equal(warnings().length, 1);
  clock.advance(60_000);
  t.equal(await status(gate, 't5'), 200);
  t.match(warnings()[1], { failures: 3 });
});

t.test('a gateway that ends, or cannot start, does not blame the store for its closed connections', (t) => {
  const lines: unknown[] = [];
  const write = (_fields: object, message: string): void => void lines.push(message);
  let counted = 0;
  const failures = new SharedCacheFailures({ sharedCacheFailed: () => counted++ }, fakeClock(), {
    debug: write,
    info: write,
    warn: write,
  } as never);
  failures.failed('get: ETIMEDOUT');
  t.match(lines, ['shared cache failed', /^the shared cache fails/]);
  failures.close();
  failures.failed('ClientClosedError');
  t.equal(lines.length, 2);
  t.equal(counted, 1);
  t.end();
});

// Node 20 does not announce connections over TLS (docs/introspection.md).
if (Number(process.versions.node.split('.')[0]) >= 22) {
  t.test('the limits hold over TLS', async (t) => {
    const { store, gateway } = await start(t, await makeCertificate(['127.0.0.1']));
    const gate = await gateway();
    answering(store, /^GETRANGE$/, () => '*32000000\r\n'.repeat(1_000));
    t.equal(await status(gate, 't1'), 200);
    await until(() => gate.log.some(({ cause }) => /reply_refused/.test(String(cause))));
    answering(store, /^GETRANGE$/, () => endless('$99999999999\r\n', filled('x')));
    t.equal(await status(gate, 't2'), 200);
    t.ok(store.most < ENOUGH);
  });
}
