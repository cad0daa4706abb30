import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import t from 'tap';
import { ask } from '../ask.js';
import { startChild } from '../child.js';
import { VECTOR_RULES, VECTOR_TOKENS } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { available } from '../require.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { parseAnswers } from '../wire.js';

/** File descriptors that the gateway may have beyond those it has at rest, and connections that want one each. */
const SPARE = 24;
const CLIENTS = 120;

/** Sends one request and keeps the connection open. */
function send(port: number, token: string) {
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  let ended = false;
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  socket.on('close', () => {
    ended = true;
  });
  socket.write(`GET /x HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer ${token}\r\n\r\n`);
  return {
    token,
    socket,
    status: () => parseAnswers(Buffer.concat(chunks))[0]?.status,
    ended: () => ended,
  };
}

t.test('without file descriptors it answers or refuses, and recovers', async (t) => {
  if (!available(t, 'prlimit')) return;
  const fresh = Array.from({ length: CLIENTS }, (_, i) => `fresh-token-${i}`);
  const endpoint = await startIntrospection({
    ...VECTOR_TOKENS,
    ...Object.fromEntries(fresh.map((token) => [token, { scope: 'read' }])),
  });
  const upstream = await startUpstream();
  t.teardown(() => Promise.all([upstream.close(), endpoint.close()]));
  const child = await startChild(
    t,
    {
      services: { default: upstream.url },
      introspection: { url: endpoint.url, breaker: { openFor: '1h' } },
      matching: { overlap: 'specific' },
    },
    VECTOR_RULES,
  );
  const good = { token: 'good-read' };
  t.equal((await ask(child, '/x', good)).status, 200);

  const pid = String(child.process.pid);
  const limit = readdirSync(`/proc/${pid}/fd`).length + SPARE;
  execFileSync('prlimit', ['--pid', pid, `--nofile=${limit}:`]);
  const clients = fresh.flatMap((token) => [
    send(child.port, token),
    send(child.port, 'good-read'),
    send(child.port, 'bad-token'),
  ]);
  t.teardown(() => {
    for (const { socket } of clients) socket.destroy();
  });
  await until(() => clients.every((client) => client.ended() || client.status() !== undefined));
  const outcomes = new Map<string, number>();
  for (const client of clients) {
    const outcome = `${client.token.replace(/-\d+$/, '')}: ${client.status() ?? 'refused'}`;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  t.comment(Object.fromEntries(outcomes));
  for (const outcome of outcomes.keys()) {
    t.match(
      outcome,
      /^(fresh-token: (200|502|503)|good-read: (200|502|503)|bad-token: (401|503)|.*: refused)$/,
    );
  }
  for (const kind of ['fresh-token', 'good-read', 'bad-token']) {
    t.ok((outcomes.get(`${kind}: refused`) ?? 0) > 0, `${kind}: connections are refused`);
  }
  t.ok(
    clients.some((client) => !client.ended()),
    'those that are in stay in, with nothing left for others',
  );

  child.process.kill('SIGHUP');
  await until(() => child.output().includes('rules not reloaded: the old rules stay in use'));
  t.match(child.output(), /rules\.yaml:1:1 error (load-failed|unreadable-file) [^"]*EMFILE/);

  for (const { socket } of clients) socket.destroy();
  await until(async () => {
    const reply = await ask(child, '/x', { token: 'fresh-token-0' }).catch(() => undefined);
    return reply?.status === 200;
  });
  for (const [token, status] of [
    ['fresh-token-1', 200],
    ['good-read', 200],
    ['bad-token', 401],
  ] as const) {
    t.equal((await ask(child, '/x', { token })).status, status, `${token}, afterwards`);
  }
  // Unbundled, as it is here, the thread that loads rules reads a hundred modules at once.
  execFileSync('prlimit', ['--pid', pid, `--nofile=${limit + 200}:`]);
  child.process.kill('SIGHUP');
  await until(() => child.output().includes('"rules reloaded"'));
  child.process.kill('SIGTERM');
  t.equal(await child.ended, 0);
  t.notMatch(child.output(), /fresh-token|good-read|bad-token/, 'no token in the log');
});
