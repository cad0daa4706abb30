import t from 'tap';
import { AUDIT_FIELDS, AUDIT_VERSION } from '../../src/observe/audit.js';
import { formatLines } from '../../src/observe/line-format.js';
import { prettyLog } from '../../src/observe/pretty.js';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway, type TestGateway, VECTOR_RULES } from '../gateway.js';
import { until } from '../until.js';
import { sendRaw } from '../wire.js';

const decisions = (gate: TestGateway) => gate.log.filter(({ audit }) => audit !== undefined);

t.test('every line keeps to the schema, and every field of the schema is in a line', async (t) => {
  const revoke = {
    path: '/revoke',
    methods: ['POST'],
    accessStrategies: [{ handler: 'allow' }],
    scopegate: { revocation: 'observe' },
  };
  const dry = rule('/dry/.*', ['GET'], 'admin', {
    scopegate: { enforcement: 'observe', stripPath: '/dry' },
  });
  const gate = await startTestGateway(t, {
    rules: `${VECTOR_RULES}\n---\n${apiRule('gate.example', [revoke, dry], 'revoke')}`,
    settings: {
      log: { sampleAllowed: 0.999_999 },
      // Nothing is recorded, so nothing is sent there.
      tracing: { endpoint: 'http://127.0.0.1:9/', sample: 0 },
    },
  });
  await ask(gate, '/revoke', { method: 'POST', body: 'unreadable' });
  await ask(gate, '/dry/x', { token: 'good-read' });
  await ask(gate, '/headers', { token: 'good-read' });
  await ask(gate, '/headers', { token: 'good-write' });
  await ask(gate, '/headers');
  await ask(gate, '/a%2fb', { host: 'bad host' }).catch(() => {});
  await sendRaw(gate.port, 'GET /a\\b HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n');
  await sendRaw(
    gate.adminPort,
    'GET /decisions/x HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n',
  );
  gate.endpoint.fault = (_message, response) => response.writeHead(500).end();
  await ask(gate, '/headers', { token: 'fresh' });
  await gate.upstream.close();
  await ask(gate, '/headers', { token: 'good-read' });
  const seen = new Set<string>();
  for (const line of decisions(gate)) {
    for (const [name, value] of Object.entries(line)) {
      seen.add(name);
      const field = AUDIT_FIELDS[name];
      t.ok(field !== undefined, `${name} is in the schema`);
      t.equal(typeof value, field?.type === 'string' ? 'string' : 'number', name);
      if (field?.type === 'integer') t.ok(Number.isInteger(value), name);
      if (field?.values !== undefined) t.ok(field.values.includes(value as string), `${name}: ${value}`);
    }
    for (const [name, { always }] of Object.entries(AUDIT_FIELDS))
      if (always) t.ok(name in line, `${name} is always there`);
    t.equal(line.audit, AUDIT_VERSION);
    const order = Object.keys(line).map((name) => Object.keys(AUDIT_FIELDS).indexOf(name));
    t.same(
      order,
      [...order].sort((a, b) => a - b),
      'in the order of the schema',
    );
  }
  t.same([...seen].sort(), Object.keys(AUDIT_FIELDS).sort());
  t.notMatch(JSON.stringify(gate.log), /good-|fresh/, 'no token');
});

t.test('allowed requests are sampled; denied and failed ones never', async (t) => {
  const gate = await startTestGateway(t, { settings: { log: { sampleAllowed: 0 } } });
  for (let i = 0; i < 20; i++) await ask(gate, '/headers', { token: 'good-read' });
  t.equal(decisions(gate).length, 0);
  await ask(gate, '/headers');
  await ask(gate, '/nowhere', { method: 'PUT' });
  await gate.upstream.close();
  t.equal((await ask(gate, '/headers', { token: 'good-read' })).status, 502);
  t.same(
    decisions(gate).map(({ status }) => status),
    [401, 404, 502],
  );
  t.ok(decisions(gate).every(({ sampled }) => sampled === undefined));

  const half = await startTestGateway(t, { settings: { log: { sampleAllowed: 0.5 } } });
  for (let i = 0; i < 200; i++) await ask(half, '/headers', { token: 'good-read' });
  const kept = decisions(half);
  t.ok(kept.length > 50 && kept.length < 150, `${kept.length} of 200`);
  t.ok(kept.every(({ sampled }) => sampled === 0.5));
});

t.test(
  'request identifiers: those of trusted peers, or new ones, and the upstream gets the same',
  async (t) => {
    for (const [trustedProxies, given, kept] of [
      [['127.0.0.0/8'], 'abc-1', true],
      [['127.0.0.0/8'], 'a b', false],
      [['127.0.0.0/8'], 'x'.repeat(129), false],
      [[], 'abc-1', false],
    ] as const) {
      const gate = await startTestGateway(t, { settings: { trustedProxies } });
      await ask(gate, '/headers', { token: 'good-read', headers: { 'x-request-id': given } });
      const [line] = decisions(gate);
      t.equal(line?.request_id === given, kept);
      if (!kept) t.match(line?.request_id, /^[0-9a-f-]{36}$/);
      t.equal(gate.upstream.received[0]?.headers['x-request-id'], line?.request_id);
    }
  },
);

t.test('lines for people, in which no client writes to the terminal', async (t) => {
  const lines: string[] = [];
  const pretty = prettyLog({ write: (line: string) => void lines.push(line) });
  const put = (line: object) =>
    pretty.write(`${JSON.stringify({ time: Date.UTC(2026, 0, 1, 12, 30, 5, 7), ...line })}\n`);
  put({ level: 30, name: 'scopegate', proxy: 'http://127.0.0.1:1', rules: 2, msg: 'listening' });
  put({
    level: 30,
    name: 'scopegate',
    audit: 1,
    method: 'GET',
    host: 'a.example',
    path: '/x',
    decision: 'allow',
    status: 200,
    ms: 1.25,
    rule: 'default/a#0',
    msg: 'decision',
  });
  put({
    level: 30,
    audit: 1,
    method: 'GET',
    decision: 'deny',
    status: 403,
    ms: 2,
    subject: 'a\u001b[31m\u009b\u202e b"',
    reason: 'the token lacks',
    msg: 'decision',
  });
  put({ level: 50, msg: 'request failed', err: { stack: 'Error: x\n    at y' } });
  t.equal(lines[0], '12:30:05.007 INFO listening proxy=http://127.0.0.1:1 rules=2\n');
  t.equal(lines[1], '12:30:05.007 allow 200 GET a.example/x 1.25ms rule=default/a#0\n');
  t.match(lines[2], /^12:30:05\.007 DENY {2}403 GET - 2ms subject=".*" reason="the token lacks"\n$/);
  t.match(lines[3], /ERROR "request failed" err=/);
  for (const line of lines) t.match(line, /^[\x20-\x7e]*\n$/, 'one line of printable ASCII');
  t.end();
});

t.test('levels and times are written as a log system wants them', async (t) => {
  const gate = await startTestGateway(t, { settings: { log: { levels: 'names', times: 'iso' } } });
  await ask(gate, '/x', { token: 'good-read' });
  await until(() => gate.log.some(({ msg }) => msg === 'decision'));
  for (const line of gate.log) {
    t.equal(line.level, 'info');
    t.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }
  const lines: string[] = [];
  const named = formatLines(
    { write: (line: string) => void lines.push(line) },
    { levels: 'names', times: 'epoch' },
  );
  named.write('{"level":40,"time":1,"msg":"{\\"level\\":30,\\"time\\":2"}\n');
  t.same(lines, ['{"level":"warn","time":1,"msg":"{\\"level\\":30,\\"time\\":2"}\n']);
});

t.test('at a terminal that has colours, what somebody should look at stands out', (t) => {
  const lines: string[] = [];
  const pretty = prettyLog({ write: (line: string) => void lines.push(line) }, true);
  const put = (line: object) => pretty.write(JSON.stringify({ time: 0, msg: 'm', ...line }));
  put({ level: 30 });
  put({ level: 40 });
  put({ level: 50 });
  put({ level: 30, audit: 1, decision: 'deny', status: 403, ms: 1 });
  put({ level: 30, audit: 1, decision: 'allow', status: 502, ms: 1 });
  t.same(
    lines.map((line) => /^\x1b\[(\d+)m.*\x1b\[0m\n$/.exec(line)?.[1]),
    [undefined, '33', '31', '33', '31'],
  );
  t.end();
});
