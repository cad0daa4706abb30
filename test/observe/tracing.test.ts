import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway, type TestGatewayOptions, VECTOR_TOKENS } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { startIssuer } from '../jwks.js';
import { until } from '../until.js';
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
  t.equal(named('introspection')?.parentSpanId, whole?.spanId);
  t.equal(upstream?.parentSpanId, whole?.spanId);
  for (const span of spans) {
    t.ok(BigInt(span.startTimeUnixNano) <= BigInt(span.endTimeUnixNano), `${span.name} ends after it began`);
    t.ok(BigInt(span.startTimeUnixNano) >= BigInt(whole?.startTimeUnixNano ?? 0), 'within the whole');
  }
  t.same([whole?.kind, upstream?.kind, named('introspection')?.kind], [2, 3, 3], 'server and clients');
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
    'http.request.method': 'GET',
    'http.response.status_code': 200,
    'url.full': `${gate.upstream.url}/headers?REDACTED`,
  });
  const { hostname, port } = new URL(gate.endpoint.url);
  t.match(attributesOf(named('introspection')), {
    'server.address': hostname,
    'server.port': Number(port),
    'http.request.method': 'POST',
    'http.response.status_code': 200,
    'url.full': gate.endpoint.url,
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

t.test('each call to another server is a span of the request that made it', async (t) => {
  const collector = await startCollector(t);
  const issuer = await startIssuer();
  const endpoint = await startIntrospection(VECTOR_TOKENS);
  const pdp = createServer((message, response) => {
    message.resume();
    response.writeHead(403).end();
  });
  pdp.listen(0, '127.0.0.1');
  await once(pdp, 'listening');
  t.teardown(async () => {
    await Promise.all([issuer.close(), endpoint.close()]);
    pdp.close();
  });
  const remote = `http://127.0.0.1:${(pdp.address() as AddressInfo).port}/allow?key=hush`;
  const authorizers = [{ handler: 'remote_json', config: { remote, payload: '{}' } }];
  const jwt = { handler: 'jwt', config: { jwks_urls: [issuer.url], allowed_algorithms: ['ES256'] } };
  const rules = apiRule('gate.example', [
    { path: '/jwt', methods: ['GET'], accessStrategies: [jwt] },
    rule('/guarded', ['GET'], 'read', { scopegate: { authorizers } }),
    rule('/other', ['GET'], 'read'),
  ]);
  const url = new URL(endpoint.url);
  url.search = 'apikey=hush';
  const gate = await start(
    t,
    { endpoint: collector.endpoint },
    { rules, settings: { introspection: { url: url.href } } },
  );
  const key = await issuer.makeKey('one');
  const token = await issuer.sign(key, 'one', { sub: 'somebody' });
  t.equal((await ask(gate, '/jwt', { token })).status, 200);
  t.equal((await ask(gate, '/guarded', { token: 'good-read' })).status, 403);
  t.equal((await ask(gate, '/other', { token: 'stranger' })).status, 401);
  await gate.gateway.close();
  const spans = collector.spans();
  const calls = spans.filter(({ kind, name }) => kind === 3 && name !== 'upstream');
  t.same(
    calls.map(({ name }) => name),
    ['keys', 'introspection', 'authorize', 'introspection', 'readiness'],
    'an inactive token makes scopegate ask whether the server is ready',
  );
  for (const call of calls) {
    const parent = spans.find(({ spanId }) => spanId === call.parentSpanId);
    t.equal(parent?.kind, 2, `${call.name} is within the span of a request`);
    t.equal(parent?.traceId, call.traceId);
  }
  const [keys, introspection, authorize] = calls.map(attributesOf);
  t.match(keys, { 'http.request.method': 'GET', 'url.full': issuer.url, 'http.response.status_code': 200 });
  t.match(introspection, { 'url.full': `${url.origin}${url.pathname}?REDACTED` });
  t.match(authorize, {
    'http.request.method': 'POST',
    'url.full': remote.replace('key=hush', 'REDACTED'),
    'http.response.status_code': 403,
    'error.type': '403',
  });
  t.notMatch(collector.text(), /hush|good-read|stranger|apikey/);
});

t.test('a call without a good answer is an error, and says which', async (t) => {
  const collector = await startCollector(t);
  const settings = { introspection: { retries: 0, breaker: { failures: 100 } } };
  const gate = await start(
    t,
    { endpoint: collector.endpoint },
    { settings, respond: (_, response) => response.writeHead(404).end() },
  );
  const faults = {
    status: (response: ServerResponse) => response.writeHead(500).end('hush'),
    cut: (response: ServerResponse) => response.destroy(),
    nonsense: (response: ServerResponse) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('hush'),
  };
  for (const [name, fault] of Object.entries(faults)) {
    gate.endpoint.fault = (_, response) => fault(response);
    t.equal((await ask(gate, '/x', { token: name })).status, 503, name);
  }
  gate.endpoint.fault = undefined;
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 404);
  await gate.gateway.close();
  const spans = collector.spans();
  const calls = spans.filter(({ name, status }) => name === 'introspection' && status.code === 2);
  t.match(calls.map(attributesOf), [
    { 'http.response.status_code': 500, 'error.type': '500' },
    { 'error.type': 'UND_ERR_SOCKET' },
    { 'http.response.status_code': 200, 'error.type': 'unusable_answer' },
  ]);
  t.notOk('http.response.status_code' in attributesOf(calls[1]));
  const upstream = spans.find(({ name }) => name === 'upstream');
  t.match(upstream?.status, { code: 2 }, 'a status of 400 or more is an error of the client span');
  t.match(attributesOf(upstream), { 'error.type': '404' });
  const whole = spans.find(({ spanId }) => spanId === upstream?.parentSpanId);
  t.match(whole?.status, { code: 0 }, 'and none of the server’s');
  t.notMatch(collector.text(), /hush/);
});

t.test('who waits for the call of another request has no call of its own', async (t) => {
  const collector = await startCollector(t);
  const gate = await start(t, { endpoint: collector.endpoint });
  const metrics = async () => (await request(`${gate.adminUrl}/metrics`)).body.text();
  let open = () => {};
  gate.endpoint.gate = new Promise((resolve) => (open = resolve));
  const first = ask(gate, '/x', { token: 'good-read' });
  await until(() => gate.endpoint.asked.length === 1);
  const second = ask(gate, '/y', { token: 'good-read' });
  await until(async () => /^scopegate_requests_in_flight\S* 2$/m.test(await metrics()));
  open();
  t.same([(await first).status, (await second).status], [200, 200]);
  await gate.gateway.close();
  const waits = collector.spans().filter(({ name }) => name === 'introspection');
  t.same(
    waits
      .map(({ kind, attributes }) => [kind, attributesOf({ attributes })['scopegate.introspection']])
      .sort(),
    [
      [1, 'coalesced'],
      [3, undefined],
    ],
  );
  t.not(waits[0]?.traceId, waits[1]?.traceId);
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
