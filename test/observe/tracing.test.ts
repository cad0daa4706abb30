import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { ask } from '../ask.js';
import { startTestGateway, type TestGatewayOptions } from '../gateway.js';
import { readExposition } from './exposition.js';

/** A span as OTLP/JSON has it. */
interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly {
    readonly key: string;
    readonly value: { stringValue?: string; intValue?: number; doubleValue?: number };
  }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status: { readonly code: number };
}

/** What OpenTelemetry's collector does with traces: takes them. */
async function startCollector(t: Test, status = 200) {
  const bodies: string[] = [];
  const server = createServer(async (message, response) => {
    let body = '';
    for await (const chunk of message) body += chunk;
    if (message.method === 'POST' && message.url === '/v1/traces') bodies.push(body);
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  interface Export {
    resourceSpans: { resource: Pick<Span, 'attributes'>; scopeSpans: { spans: Span[] }[] }[];
  }
  const resources = () => bodies.flatMap((body) => (JSON.parse(body) as Export).resourceSpans);
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    text: () => bodies.join('\n'),
    resource: () => attributesOf(resources()[0]?.resource),
    spans: () => resources().flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
  };
}

function attributesOf(span: Pick<Span, 'attributes'> | undefined): Record<string, string | number> {
  return Object.fromEntries(
    (span?.attributes ?? []).map(({ key, value }) => [
      key,
      value.stringValue ?? value.intValue ?? value.doubleValue ?? '',
    ]),
  );
}

const THEIRS = '0af7651916cd43dd8448eb211c80319c';
const THEIR_SPAN = 'b7ad6b7169203331';
const SAMPLED = { traceparent: `00-${THEIRS}-${THEIR_SPAN}-01`, tracestate: 'vendor=one,other=two' };

const TRUSTING = { trustedProxies: ['127.0.0.1'] };

async function start(t: Test, tracing: object, more: TestGatewayOptions = {}) {
  return startTestGateway(t, { ...more, settings: { ...more.settings, tracing } });
}

t.test('off: the trace context of a client passes as it came, and no SDK is loaded', async (t) => {
  const gate = await start(t, {});
  await ask(gate, '/x', { token: 'good-read', headers: SAMPLED });
  t.match(gate.upstream.received[0]?.headers, SAMPLED);
  const loaded = Object.keys(createRequire(import.meta.url).cache);
  t.ok(loaded.length > 0);
  t.equal(
    loaded.find((file) => /@opentelemetry\/(?!api\/)/.test(file)),
    undefined,
  );
  t.notOk('trace_id' in (gate.log.find(({ msg }) => msg === 'decision') ?? {}));
});

t.test('a span for the request, within it decision, introspection and upstream', async (t) => {
  const collector = await startCollector(t);
  const gate = await start(t, { endpoint: collector.endpoint, serviceName: 'gate-one' });
  const reply = await ask(gate, '/headers?key=hush', { token: 'good-read', headers: SAMPLED });
  t.equal(reply.status, 200);
  await gate.gateway.close();
  const spans = collector.spans();
  const named = (name: string) => spans.find((span) => span.name === name);
  t.same(spans.map(({ name }) => name).sort(), ['GET /.*', 'decision', 'introspection', 'upstream']);
  const whole = named('GET /.*');
  const upstream = named('upstream');
  t.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1);
  t.not(whole?.traceId, THEIRS, 'a stranger’s trace is not continued');
  t.match(whole?.links, [{ traceId: THEIRS, spanId: THEIR_SPAN }], 'but linked to');
  t.notOk(whole?.parentSpanId);
  t.equal(named('decision')?.parentSpanId, whole?.spanId);
  t.equal(named('introspection')?.parentSpanId, named('decision')?.spanId);
  t.equal(upstream?.parentSpanId, whole?.spanId);
  for (const span of spans) {
    t.ok(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano), `${span.name} ends after it began`);
    t.ok(BigInt(span.startTimeUnixNano) >= BigInt(whole?.startTimeUnixNano ?? 0), 'within the whole');
  }
  t.same([whole?.kind, upstream?.kind], [2, 3], 'server and client');
  t.match(attributesOf(whole), {
    'http.request.method': 'GET',
    'http.route': '/.*',
    'http.response.status_code': 200,
    'url.path': '/headers',
    'server.address': 'gate.example',
    'client.address': '127.0.0.1',
    'scopegate.rule': 'default/gate#0',
    'scopegate.decision': 'allow',
  });
  t.match(attributesOf(named('decision')), { 'scopegate.introspection': 'miss' });
  t.match(attributesOf(upstream), {
    'server.address': '127.0.0.1',
    'server.port': gate.upstream.port,
    'http.response.status_code': 200,
  });
  t.match(collector.resource(), { 'service.name': 'gate-one' });

  const sent = gate.upstream.received[0]?.headers;
  t.equal(sent?.traceparent, `00-${whole?.traceId}-${upstream?.spanId}-01`, 'the upstream is told');
  t.equal(sent?.tracestate, undefined, 'and nothing of the stranger’s');
  t.equal(
    gate.log.find(({ msg }) => msg === 'decision')?.trace_id,
    whole?.traceId,
    'the audit line names it',
  );
  t.notMatch(collector.text(), /good-read|hush|key=/, 'no token, no query');
});

t.test('the trace of a trusted peer is continued, and its wish not to be recorded respected', async (t) => {
  const collector = await startCollector(t);
  const gate = await start(t, { endpoint: collector.endpoint }, { settings: TRUSTING });
  await ask(gate, '/x', { token: 'good-read', headers: SAMPLED });
  await ask(gate, '/x', { token: 'good-read', headers: { traceparent: `00-${THEIRS}-${THEIR_SPAN}-00` } });
  await gate.gateway.close();
  const [one, two] = gate.upstream.received.map(({ headers }) => headers);
  t.match(one, { traceparent: new RegExp(`^00-${THEIRS}-[0-9a-f]{16}-01$`), tracestate: SAMPLED.tracestate });
  t.match(two?.traceparent, new RegExp(`^00-${THEIRS}-[0-9a-f]{16}-00$`));
  t.not(two?.traceparent?.slice(36, 52), THEIR_SPAN);
  const whole = collector.spans().filter(({ name }) => name === 'GET /.*');
  t.match(whole, [{ traceId: THEIRS, parentSpanId: THEIR_SPAN }]);
  t.same(
    gate.log.filter(({ msg }) => msg === 'decision').map(({ trace_id }) => trace_id),
    [THEIRS, THEIRS],
  );
});

t.test('a trace context that is none begins a new trace', async (t) => {
  const collector = await startCollector(t);
  const gate = await start(t, { endpoint: collector.endpoint }, { settings: TRUSTING });
  const broken = [
    '',
    `00-${'0'.repeat(32)}-${THEIR_SPAN}-01`,
    `00-${THEIRS}-${'0'.repeat(16)}-01`,
    `00-${THEIRS.toUpperCase()}-${THEIR_SPAN}-01`,
    `00-${THEIRS}-${THEIR_SPAN}-01-more`,
    `ff-${THEIRS}-${THEIR_SPAN}-01`,
    `00-${THEIRS}-${THEIR_SPAN}`,
  ];
  for (const traceparent of broken) await ask(gate, '/x', { token: 'good-read', headers: { traceparent } });
  const later = `01-${THEIRS}-${THEIR_SPAN}-01-more`;
  await ask(gate, '/x', { token: 'good-read', headers: { traceparent: later } });
  const sent = gate.upstream.received.map(({ headers }) => String(headers.traceparent));
  t.ok(sent.every((field) => /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/.test(field)));
  t.same(
    sent.map((field) => field.includes(THEIRS)),
    [...broken.map(() => false), true],
    'a later version is read as far as it is known',
  );
  t.equal(new Set(sent.map((field) => field.slice(3, 35))).size, sent.length);
});

t.test('refusals, failures and questions of proxies are traced as well', async (t) => {
  const collector = await startCollector(t);
  const gate = await start(t, { endpoint: collector.endpoint });
  await ask(gate, '/x');
  await ask(gate, '/nowhere', { method: 'DELETE' });
  const question = await request(`${gate.adminUrl}/decisions`, {
    headers: {
      'x-forwarded-method': 'GET',
      'x-forwarded-host': 'gate.example',
      'x-forwarded-uri': '/x?key=hush',
      authorization: 'Bearer good-read',
    },
  });
  t.equal(question.statusCode, 200);
  await question.body.dump();
  await gate.upstream.close();
  t.equal((await ask(gate, '/y', { token: 'good-read' })).status, 502);
  await gate.gateway.close();
  const spans = collector.spans();
  const whole = spans.filter(({ kind }) => kind === 2).map(attributesOf);
  t.match(whole, [
    { 'scopegate.error': 'no_token', 'http.response.status_code': 401 },
    { 'scopegate.error': 'no_rule', 'http.response.status_code': 404 },
    { 'scopegate.entrance': 'decisions', 'http.response.status_code': 200 },
    { 'scopegate.error': 'upstream_unreachable', 'error.type': 'upstream_unreachable' },
  ]);
  const failed = spans.filter(({ status }) => status.code === 2);
  t.same(
    failed.map(({ name }) => name).sort(),
    ['GET /.*', 'upstream'],
    'a denial is no error of the gateway',
  );
  t.equal(attributesOf(failed.find(({ name }) => name === 'upstream'))['error.type'], 'ECONNREFUSED');
  t.ok(
    spans.some(({ name }) => name === 'DELETE'),
    'without a rule there is no route',
  );
  t.notMatch(collector.text(), /good-read|hush/);
});

t.test('with sample 0 nothing is recorded, and the upstream is told so', async (t) => {
  const collector = await startCollector(t);
  const gate = await start(t, { endpoint: collector.endpoint, sample: 0 });
  await ask(gate, '/x', { token: 'good-read' });
  await gate.gateway.close();
  t.match(gate.upstream.received[0]?.headers.traceparent, /-00$/);
  t.equal(collector.text(), '');
});

t.test('a collector that refuses is told of, and keeps nobody from being served', async (t) => {
  const collector = await startCollector(t, 400);
  const gate = await start(t, { endpoint: collector.endpoint });
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  const scraped = await request(`${gate.adminUrl}/metrics`);
  const { samples } = readExposition(await scraped.body.text());
  t.match(
    samples.filter(({ name }) => name === 'scopegate_trace_spans_total'),
    [
      { labels: { result: 'exported' }, value: 0 },
      { labels: { result: 'lost' }, value: 0 },
    ],
  );
  await gate.gateway.close();
  t.match(
    gate.log.find(({ msg }) => msg === 'spans not exported'),
    { spans: 4, cause: 'the collector answered 400' },
  );
});
