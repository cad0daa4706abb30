import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { apiRule, startTestGateway, type TestGatewayOptions } from '../gateway.js';
import { root } from '../root.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { sendRaw } from '../wire.js';
import { FLOORS, reaches } from './floors.js';
import { FORWARD_RULES, request, startRawUpstream } from './raw.js';

// One test for each advisory about the libraries on the request's path: what it describes does not happen here, and would
// not even with the version it was found in, wherever the gateway does not leave it to the library.

const START: TestGatewayOptions = { rules: FORWARD_RULES };

t.test(
  'libraries are at or above the versions that mend what is known (CVE-2026-12151 among it)',
  async (t) => {
    const { devDependencies, overrides } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      devDependencies: Record<string, string>;
      overrides: Record<string, string>;
    };
    for (const [name, floor] of Object.entries(FLOORS)) {
      const installed = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
      t.ok(reaches(installed.version, floor), `installed: ${installed.version}`);
      const asked = overrides[name] ?? devDependencies[name] ?? '';
      t.ok(reaches(asked.replace('^', ''), floor), `asked for: ${asked}`);
    }
    t.notOk(reaches('7.28.9', '7.29.0'));
    t.notOk(reaches('5.8.5-rc.1', '5.8.5'));
    t.ok(reaches('10.0.0', '9.9.9'));
  },
);

t.test('CVE-2026-3635 host and protocol are not believed from a peer that is not trusted', async (t) => {
  const gate = await startTestGateway(t, { ...START, settings: { trustedProxies: ['192.0.2.0/24'] } });
  const forged = [
    'X-Forwarded-Host: other.example',
    'X-Forwarded-Proto: https',
    'X-Forwarded-For: 192.0.2.1',
  ];
  t.equal((await sendRaw(gate.port, request('GET /guarded/a', forged))).answers[0]?.status, 401);
  t.equal((await sendRaw(gate.port, request('GET /', forged))).answers[0]?.status, 200);
  t.match(gate.upstream.received[0]?.headers, {
    'x-forwarded-host': 'gate.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-for': '127.0.0.1',
  });
  const swapped = request('GET /', ['X-Forwarded-Host: gate.example']).replace('Host: gate', 'Host: other');
  t.equal(
    (await sendRaw(gate.port, swapped)).answers[0]?.status,
    404,
    'nor does it open a rule of another host',
  );
});

t.test('CVE-2026-33806 the spelling of Content-Type turns no check off', async (t) => {
  const gate = await startTestGateway(t, { ...START, settings: { forward: { maxBodyBytes: 10 } } });
  for (const field of [
    'Content-Type:  application/json',
    'Content-Type:\tapplication/json',
    'Content-Type: application/json\t',
    'Content-Type: application/json ;charset=utf-8',
    'Content-Type: APPLICATION/JSON',
    'Content-Type:',
  ]) {
    const statusOf = async (path: string, body: string): Promise<number | undefined> => {
      const bytes = request(`POST ${path}`, [field, `Content-Length: ${body.length}`], body);
      return (await sendRaw(gate.port, bytes)).answers[0]?.status;
    };
    t.equal(await statusOf('/guarded/a', '{}'), 401, field);
    t.equal(await statusOf('/', '{"a":"0123456789"}'), 413, field);
    gate.upstream.received.length = 0;
    t.equal(await statusOf('/', '{"a": 1'), 200, field);
    t.equal(gate.upstream.received[0]?.body.toString(), '{"a": 1', field);
  }
});

t.test('CVE-2026-33805 Connection strips nothing that the gateway adds', async (t) => {
  const gate = await startTestGateway(t, START);
  const added = [
    'via',
    'forwarded',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-request-id',
    'host',
  ];
  for (const fields of [
    [`Connection: ${added.join(', ')}`],
    added.map((name) => `Connection: ${name.toUpperCase()}`),
    [`Connection: close, ${added.join(',')}`, ...added.slice(0, 6).map((name) => `${name}: forged`)],
  ]) {
    gate.upstream.received.length = 0;
    await sendRaw(gate.port, request('GET /', fields));
    const { headers = {} } = gate.upstream.received[0] ?? {};
    for (const name of added) t.ok(headers[name], name);
    t.equal(headers['x-forwarded-for'], '127.0.0.1');
    t.match(headers['x-request-id'], /^[0-9a-f-]{36}$/);
  }
});

t.test('GHSA-v574-6498-x57v no path leads one upstream’s request to another', async (t) => {
  const ends = [await startUpstream(), await startUpstream(), await startUpstream()];
  t.teardown(() => Promise.all(ends.map((end) => end.close())));
  const names = ['a', 'ab', 'b'];
  const gate = await startTestGateway(t, {
    rules: names
      .map((name) =>
        apiRule(
          `${name}.example`,
          [
            {
              path: '/.*',
              methods: ['GET'],
              accessStrategies: [{ handler: 'noop' }],
              service: { name, port: 80 },
            },
          ],
          name,
        ),
      )
      .join('\n---\n'),
    settings: { services: Object.fromEntries(names.map((name, i) => [name, ends[i]?.url])) },
  });
  // Keys made by joining an upstream and a path would be the same for some of these.
  const paths = ['/', '/b', '/bb', '/a', '/b/b', '/b.example', '/.example/b'];
  for (let round = 0; round < 2; round++) {
    for (const path of paths) {
      for (const name of names) {
        await sendRaw(
          gate.port,
          request(`GET ${path}`, [`X-Of: ${name}`]).replace('gate.example', `${name}.example`),
        );
      }
    }
  }
  for (const [i, { received }] of ends.entries()) {
    const name = names[i] as string;
    t.equal(received.length, paths.length * 2, name);
    t.ok(
      received.every(({ headers }) => headers['x-of'] === name),
      name,
    );
  }
});

t.test('CVE-2025-66415 no spelling of ".." leaves what the rule covers', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      { path: '/open/.*', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] },
    ]),
  });
  for (const dots of [
    '..',
    '%2e%2e',
    '.%2E',
    '..%2f',
    '..%5c',
    '..\\',
    '..;',
    '%252e%252e',
    '%c0%ae%c0%ae',
    '...//..',
  ]) {
    for (const target of [`/open/${dots}/secret`, `/open/a/${dots}/${dots}/secret`, `/open/${dots}`]) {
      gate.upstream.received.length = 0;
      const { answers } = await sendRaw(gate.port, request(`GET ${target}`));
      const sent = gate.upstream.received[0]?.url;
      t.ok(
        [400, 404].includes(answers[0]?.status ?? 0) || /^\/open\/(?!.*\.\.\/)/.test(sent ?? ''),
        `${target}: ${sent}`,
      );
      t.notMatch(sent, /^\/secret/);
    }
  }
});

t.test('CVE-2026-1525 a request never leaves with two lengths', async (t) => {
  const gate = await startTestGateway(t, START);
  for (const fields of [
    ['Content-Length: 5', 'Content-Length: 5'],
    ['Content-Length: 5', 'content-length: 50'],
    ['CONTENT-LENGTH: 0', 'Content-Length: 5'],
    ['Content-Length: 5, 5'],
    ['Content-Length: 5', 'Content_Length: 50'],
  ]) {
    t.equal(
      (await sendRaw(gate.port, request('POST /', fields, 'hello'))).answers[0]?.status,
      400,
      fields.join(),
    );
  }
  t.equal(gate.upstream.received.length, 0);
  await sendRaw(gate.port, request('POST /', ['cOnTeNt-LeNgTh: 5', 'Connection: content-length'], 'hello'));
  const { rawHeaders = [] } = gate.upstream.received[0] ?? {};
  t.same(
    rawHeaders.filter(
      (_, i) => i % 2 === 0 && /^(content-length|transfer-encoding)$/i.test(rawHeaders[i] as string),
    ),
    ['content-length'],
  );
});

t.test('GHSA-35p6-xmwp-9g52 an answer nobody asked for is nobody’s answer', async (t) => {
  const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
  for (const late of [false, true]) {
    const raw = await startRawUpstream(t, (socket, head) => {
      const own = `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${head.slice(5, 9)}`;
      if (!head.includes('/bait')) socket.write(own);
      else if (late) socket.write(own, () => setImmediate(() => socket.write(poison)));
      else socket.write(own + poison);
    });
    const { port } = await startTestGateway(t, { ...START, upstreamUrl: raw.url });
    for (let i = 0; i < 5; i++) {
      t.equal((await sendRaw(port, request('GET /bait'))).answers[0]?.body.toString(), 'bait');
      // The gateway has read the poison when it has given the connection up.
      await until(() => raw.sockets.size === 0);
      t.equal((await sendRaw(port, request('GET /good'))).answers[0]?.body.toString(), 'good');
    }
  }
});
