import fc from 'fast-check';
import t, { type Test } from 'tap';
import { AUDIT_FIELDS, type AuditEntry, createAudit } from '../../src/observe/audit.js';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway, type TestGateway, type TestGatewayOptions } from '../gateway.js';
import { open, sendRaw } from '../wire.js';

type Line = Readonly<Record<string, unknown>>;

const RULES = apiRule('gate.example', [
  rule('/read', ['GET'], 'read'),
  { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
  {
    path: '/query',
    methods: ['GET'],
    accessStrategies: [
      { handler: 'oauth2_introspection', config: { token_from: { query_parameter: 'key' } } },
    ],
  },
]);

const start = (t: Test, options: TestGatewayOptions = {}): Promise<TestGateway> =>
  startTestGateway(t, { rules: RULES, ...options });

const lines = (gate: TestGateway): Line[] => gate.log.filter(({ audit }) => audit !== undefined);

/** Waits for a line that is written when an answer's last byte is out, which the client may see first. */
async function linesOf(gate: TestGateway, count: number): Promise<Line[]> {
  const late = performance.now() + 10_000;
  while (lines(gate).length < count && performance.now() < late) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return lines(gate);
}

t.test(
  'an allowed request: whose rule, who, how the token was checked, what the upstream said',
  async (t) => {
    const gate = await start(t);
    await ask(gate, '/read?a=1', { token: 'good-read' });
    await ask(gate, '/read', { token: 'good-read' });
    const [miss, hit, more] = await linesOf(gate, 2);
    t.equal(more, undefined, 'one line a request');
    t.match(miss, {
      level: 30,
      msg: 'decision',
      audit: 1,
      request_id: /^[0-9a-f-]{36}$/,
      peer: '127.0.0.1',
      method: 'GET',
      host: 'gate.example',
      path: '/read',
      rule: 'default/gate#0',
      decision: 'allow',
      subject: 'reader',
      client_id: 'c-read',
      introspection: 'miss',
      introspection_ms: Number,
      status: 200,
      upstream_status: 200,
      upstream_ms: Number,
      ms: Number,
    });
    t.match(hit, { introspection: 'hit', introspection_ms: 0 });
    for (const name of ['error', 'reason', 'cause']) t.notOk(name in (miss ?? {}), `no ${name}`);
    t.not(miss?.request_id, hit?.request_id);
    t.equal(
      gate.upstream.received[0]?.headers['x-request-id'],
      miss?.request_id,
      'the upstream gets the same identifier',
    );
  },
);

t.test('a denied request says why, in the words of the error table', async (t) => {
  const gate = await start(t);
  const denials = [
    [{}, '/read', { error: 'no_token', status: 401 }],
    [{ token: 'unknown' }, '/read', { error: 'invalid_token', status: 401, introspection: 'miss' }],
    [
      { token: 'good-write' },
      '/read',
      { error: 'insufficient_scope', status: 403, subject: 'writer', client_id: 'c-write' },
    ],
    [{ headers: { authorization: 'Bearer "' } }, '/read', { error: 'invalid_request', status: 400 }],
    [{ token: 'good-read' }, '/nowhere', { error: 'no_rule', status: 404, path: '/nowhere' }],
  ] as const;
  for (const [question, path] of denials) await ask(gate, path, question);
  const written = await linesOf(gate, denials.length);
  t.equal(written.length, denials.length);
  for (const [i, [, , expected]] of denials.entries()) {
    t.match(written[i], { decision: 'deny', reason: String, ...expected });
    t.notOk('upstream_status' in (written[i] ?? {}));
  }
});

t.test('trouble with the authorization server', async (t) => {
  const gate = await start(t);
  gate.endpoint.fault = (_message, response) => void response.writeHead(500).end();
  await ask(gate, '/read', { token: 'good-read' });
  t.match(await linesOf(gate, 1), [
    { decision: 'deny', error: 'authorization_server_unavailable', introspection: 'failed', status: 503 },
  ]);
});

t.test('requests that shared one introspection say so', async (t) => {
  const gate = await start(t);
  let release = (): void => {};
  gate.endpoint.gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const asking = [1, 2, 3].map(() => ask(gate, '/read', { token: 'good-read' }));
  setTimeout(release, 100);
  await Promise.all(asking);
  const sources = (await linesOf(gate, 3)).map(({ introspection }) => introspection);
  t.same(sources.sort(), ['coalesced', 'coalesced', 'miss']);
});

t.test('an upstream that fails: allowed, and what went wrong', async (t) => {
  const gate = await start(t, { upstreamUrl: 'http://127.0.0.1:9' });
  await ask(gate, '/open');
  t.match(await linesOf(gate, 1), [
    { decision: 'allow', error: 'upstream_unreachable', cause: 'ECONNREFUSED', status: 502 },
  ]);
});

t.test('a request that cannot be understood still leaves a line, without what it said', async (t) => {
  const gate = await start(t);
  await sendRaw(gate.port, 'GET /a%zz?key=VALUE HTTP/1.1\r\nHost: gate.example\r\n\r\n');
  await sendRaw(gate.port, 'GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n');
  const written = await linesOf(gate, 2);
  t.match(written, [
    { decision: 'deny', error: 'malformed_target', status: 400 },
    { decision: 'deny', error: 'malformed_request', status: 400 },
  ]);
  for (const line of written) t.notOk('path' in line || 'host' in line || 'rule' in line);
});

t.test('a client that leaves is told apart', async (t) => {
  const gate = await start(t);
  let release = (): void => {};
  gate.endpoint.gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const socket = await open(gate.port);
  socket.write('GET /read HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\n\r\n');
  while (gate.endpoint.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.destroy();
  await closed;
  setTimeout(release, 50);
  t.match(await linesOf(gate, 1), [{ status: 0, cause: 'client_closed' }]);
  t.equal(gate.upstream.received.length, 0);
});

t.test('no token, no query, no header value', async (t) => {
  const gate = await start(t, { tokens: { 'SECRET-TOKEN': { scope: 'read' } } });
  const headers = { 'x-secret': 'SECRET-HEADER', cookie: 'a=SECRET-COOKIE', 'user-agent': 'SECRET-AGENT' };
  await ask(gate, '/read?q=SECRET-QUERY', { token: 'SECRET-TOKEN', headers });
  await ask(gate, '/read?q=SECRET-QUERY', { token: 'SECRET-UNKNOWN', headers });
  await ask(gate, '/query?key=SECRET-TOKEN', { headers });
  await ask(gate, '/query?key=SECRET-TOKEN&key=SECRET-OTHER', { headers });
  await ask(gate, '/nowhere?q=SECRET-QUERY', { headers });
  t.equal((await linesOf(gate, 5)).length, 5);
  t.notMatch(JSON.stringify(gate.log), /SECRET/);
});

t.test('every field stands in the reference', async (t) => {
  const gate = await start(t);
  await ask(gate, '/read', { token: 'good-read' });
  await ask(gate, '/read', { token: 'good-write' });
  await ask(gate, '/nowhere');
  for (const line of await linesOf(gate, 3)) {
    for (const name of Object.keys(line)) t.ok(name in AUDIT_FIELDS || name === 'msg', name);
  }
});

t.test('log.audit: false writes none', async (t) => {
  const gate = await start(t, { settings: { log: { audit: false } } });
  await ask(gate, '/read', { token: 'good-read' });
  await ask(gate, '/read');
  t.same(lines(gate), []);
});

t.test('whatever stands in a claim or a path, a line is one line of JSON that says so', (t) => {
  const any = fc.string({
    unit: fc.oneof(
      fc.constantFrom('"', '\\', '\n', '\u2028', '\ud800', '\0'),
      fc.string({ unit: 'binary', maxLength: 2 }),
    ),
  });
  fc.assert(
    fc.property(any, any, any, fc.double({ min: 0, max: 1e7, noNaN: true }), (subject, path, reason, ms) => {
      const written: string[] = [];
      const audit = createAudit((line) => void written.push(line), { sampleAllowed: 1 });
      audit({
        entrance: 'proxy',
        requestId: 'id',
        peer: '::1',
        method: 'GET',
        host: 'h',
        path,
        decision: 'deny',
        reason,
        subject,
        decisionMs: ms,
        status: 403,
        ms,
      } as unknown as AuditEntry);
      const [line = ''] = written;
      const read = JSON.parse(line) as Record<string, unknown>;
      const shown = (text: string) => JSON.parse(JSON.stringify(text)) as string;
      return (
        line.indexOf('\n') === line.length - 1 &&
        read.subject === shown(subject) &&
        read.path === shown(path) &&
        read.reason === shown(reason) &&
        Math.abs((read.ms as number) - ms) <= 0.0005 &&
        !('rule' in read)
      );
    }),
  );
  t.end();
});
