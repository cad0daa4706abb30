import dns from 'node:dns';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { ask, type Reply } from '../../ask.js';
import { fakeClock } from '../../clock.js';
import { apiRule, startTestGateway, type TestGateway, type TestGatewayOptions } from '../../gateway.js';
import { start as startAuthorizationServer } from '../../stack/authorization-server.js';
import { makeCertificate } from '../../stack/certificate.js';
import { until } from '../../until.js';
import { startBlackhole } from './blackhole.js';

type Answer = (message: IncomingMessage, response: ServerResponse) => void;

/** For what waits until the gateway has lost its patience; all else is right however slow the machine is. */
const HASTY = { timeout: '400ms', connectTimeout: '200ms' };

/** A gateway on a clock of its own. */
async function start(t: Test, introspection: object = {}, options: TestGatewayOptions = {}) {
  // A little ahead: the server dates its tokens by its own clock, and a busy machine may take a second to ask for one.
  const clock = fakeClock(Math.floor(Date.now() / 1000) + 10);
  const gate = await startTestGateway(t, {
    clock,
    ...options,
    settings: { introspection: { timeout: '5s', connectTimeout: '4s', ...introspection } },
  });
  return { gate, clock };
}

/** Takes a process of its own, which starts while other faults are tried. */
const blackhole = startBlackhole(t);

/** One gateway for all faults that need no settings of their own: starting one takes longer than a fault. */
let common: ReturnType<typeof start> | undefined;
async function shared(): ReturnType<typeof start> {
  common ??= start(t);
  const { gate, clock } = await common;
  // Whatever the last fault left in caches and breakers has ended.
  clock.advance(300_000);
  for (const list of [gate.log, gate.endpoint.asked, gate.endpoint.requests, gate.upstream.received]) {
    list.length = 0;
  }
  return { gate, clock };
}

/** What holds in all trouble with the authorization server. */
function refused(t: Test, gate: TestGateway, reply: Reply, what: string): void {
  t.equal(reply.status, 503, `${what}: 503`);
  t.match(reply.headers['retry-after'], /^[1-9][0-9]*$/, `${what}: Retry-After`);
  t.equal(reply.headers['www-authenticate'], undefined, `${what}: the token is not blamed`);
  t.equal(reply.headers['cache-control'], 'no-store');
  t.equal(reply.reason, 'the authorization server gave no usable answer');
  t.equal(gate.upstream.received.length, 0, `${what}: nothing was forwarded`);
}

/** One fault of the endpoint's own: refused, not cached, and the next good answer recovers. */
async function survives(
  t: Test,
  what: string,
  fault: Answer,
  introspection: object = {},
): Promise<TestGateway> {
  const own = Object.keys(introspection).length > 0;
  const { gate, clock } = await (own ? start(t, introspection) : shared());
  gate.endpoint.fault = fault;
  refused(t, gate, await ask(gate, '/x', { token: 'good-read' }), what);
  const before = gate.endpoint.asked.length;
  gate.endpoint.fault = undefined;
  const recovers = async (): Promise<boolean> => {
    clock.advance(300_000);
    return (await ask(gate, '/x', { token: 'good-read' })).status === 200;
  };
  if (introspection === HASTY) await until(recovers);
  else t.ok(await recovers(), `${what}: the next good answer recovers`);
  t.ok(gate.endpoint.asked.length > before, 'the failure was not cached');
  return gate;
}

const json: Readonly<Record<string, string>> = { 'content-type': 'application/json' };
const body =
  (text: string | Buffer, headers = json, status = 200): Answer =>
  (_message, response) =>
    void response.writeHead(status, headers).end(text);

t.test('a server that refuses connections is 503, and requests pass again once it is back', async (t) => {
  const server = await startAuthorizationServer();
  t.teardown(() => server.close());
  const { gate, clock } = await start(t, { url: server.introspectionUrl, breaker: { failures: 3 } });
  const token = await server.issueToken({ scope: 'read' });
  await server.stop();
  for (let i = 0; i < 5; i++) refused(t, gate, await ask(gate, '/x', { token }), `request ${i}`);
  await server.restart();
  refused(t, gate, await ask(gate, '/x', { token }), 'the breaker is open');
  t.equal(server.introspections.length, 0, 'and asks nobody');
  clock.advance(5_000);
  t.equal((await ask(gate, '/x', { token })).status, 200, 'half open, it recovers by itself');
  t.equal((await ask(gate, '/x', { token: await server.issueToken({ scope: 'write' }) })).status, 403);
});

t.test('a connection that is never established ends with the timeout', async (t) => {
  const port = await blackhole;
  const { gate } = await start(t, {
    url: `http://127.0.0.1:${port}/introspect`,
    connectTimeout: '200ms',
    timeout: '1h',
    retries: 0,
  });
  refused(t, gate, await ask(gate, '/x', { token: 'good-read' }), 'the connect timeout ends it');
});

t.test('a server that accepts and never answers ends with the timeout', async (t) => {
  await survives(t, 'silence', () => {}, HASTY);
});

t.test('a body that comes byte by byte ends with the timeout', async (t) => {
  await survives(
    t,
    'dripping',
    (_message, response) => {
      response.writeHead(200, json);
      response.write('{"active":true');
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    },
    HASTY,
  );
});

t.test('a head that comes byte by byte ends with the timeout', async (t) => {
  await survives(
    t,
    'dripping head',
    ({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const drip = setInterval(() => socket.write('X-A: b\r\n'), 20);
      socket.on('close', () => clearInterval(drip));
      socket.on('error', () => {});
    },
    HASTY,
  );
});

for (const status of [500, 502, 503, 504, 429]) {
  t.test(`a server that answers ${status} is 503`, async (t) => {
    const { gate, clock } = await shared();
    gate.endpoint.fault = body('{"active":true}', json, status);
    refused(t, gate, await ask(gate, '/x', { token: 'good-read' }), `${status}`);
    t.ok(gate.endpoint.asked.length <= 2, 'at most one retry');
    gate.endpoint.fault = undefined;
    clock.advance(5_000);
    t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  });
}

for (const status of [429, 503]) {
  t.test(`Retry-After of a ${status} reaches the client and is waited for`, async (t) => {
    for (const value of ['7', new Date(Date.now() + 7_900).toUTCString()]) {
      const { gate, clock } = await shared();
      gate.endpoint.fault = body('', { 'retry-after': value }, status);
      const first = await ask(gate, '/x', { token: 'good-read' });
      refused(t, gate, first, value);
      t.ok(
        [7, 8].includes(Number(first.headers['retry-after'])),
        `passed on: ${first.headers['retry-after']}`,
      );
      const asked = gate.endpoint.asked.length;
      gate.endpoint.fault = undefined;
      clock.advance(4_000);
      refused(t, gate, await ask(gate, '/x', { token: 'good-write' }), 'too early');
      t.equal(gate.endpoint.asked.length, asked, 'the server is left in peace');
      clock.advance(4_000);
      t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
    }
  });
}

t.test('a Retry-After without sense or measure is not believed', async (t) => {
  for (const value of ['99999999', '-1', 'soon', '1e9', 'Fri, 31 Dec 9999 23:59:59 GMT']) {
    const { gate, clock } = await shared();
    gate.endpoint.fault = body('', { 'retry-after': value }, 503);
    const reply = await ask(gate, '/x', { token: 'good-read' });
    refused(t, gate, reply, value);
    t.ok(Number(reply.headers['retry-after']) <= 300, value);
    gate.endpoint.fault = undefined;
    clock.advance(300_000);
    t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200);
  }
});

for (const status of [401, 403]) {
  t.test(
    `a server that refuses the gateway’s own credentials with ${status} is 503, never 401`,
    async (t) => {
      const headers = { ...json, 'www-authenticate': 'Basic realm="as"' };
      const gate = await survives(t, `${status}`, body('{"error":"invalid_client"}', headers, status));
      t.match(
        gate.log.find(({ msg }) => msg === 'introspection failed'),
        { level: 40, cause: `the authorization server answered ${status}` },
        'the operator is told',
      );
    },
  );
}

for (const status of [301, 302, 303, 307, 308]) {
  t.test(`a redirect with ${status} is not followed`, async (t) => {
    let followed = 0;
    const elsewhere = createServer((socket) => {
      followed++;
      socket.destroy();
    });
    const port = await listening(t, elsewhere);
    await survives(t, `${status}`, body('', { location: `http://127.0.0.1:${port}/introspect` }, status));
    t.equal(followed, 0);
  });
}

for (const [what, text] of Object.entries({
  'truncated JSON': '{"active":true',
  'an empty body': '',
  HTML: '<!doctype html><title>active: true</title>',
  'a byte order mark': '\uFEFF{"active":true,"scope":"read"}',
  NaN: '{"active":true,"scope":"read","exp":NaN}',
  'two values': '{"active":true,"scope":"read"}{"active":true,"scope":"read"}',
  'no UTF-8': Buffer.from('{"active":true,"scope":"read","x":"\xff"}', 'latin1'),
})) {
  t.test(`${what} makes nothing active`, async (t) => {
    await survives(t, what, body(text));
  });
}

t.test('a status without a body makes nothing active', async (t) => {
  await survives(t, '204', body('', {}, 204));
});

t.test('a body of 100 MB is cut off', async (t) => {
  const chunk = Buffer.alloc(65_536, 0x20);
  for (const headers of [{ ...json, 'content-length': String(100 * 1024 * 1024) }, json]) {
    let sent = 0;
    let ended = false;
    const endless: Answer = (_message, response) => {
      response.writeHead(200, headers);
      response.write('{"active":true,"scope":"read"');
      const pump = (): void => {
        while (!ended && sent < 100 * 1024 * 1024) {
          sent += chunk.length;
          if (!response.write(chunk)) return void response.once('drain', pump);
        }
      };
      response.on('close', () => {
        ended = true;
      });
      pump();
    };
    await survives(t, 'content-length' in headers ? 'declared' : 'endless chunks', endless, {
      timeout: '10s',
    });
    t.ok(ended, 'the connection was destroyed');
    t.ok(sent < 16 * 1024 * 1024, `after ${sent} bytes, sockets' buffers included`);
  }
});

t.test('nesting 100,000 deep is 503', async (t) => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  await survives(t, 'at the top', body(deep));
  const { gate } = await shared();
  gate.endpoint.fault = body(`{"active":true,"scope":"read","ext":${deep}}`);
  const { status } = await ask(gate, '/x', { token: 'good-read' });
  t.ok([200, 503].includes(status), `${status}: read or refused, no crash`);
  gate.endpoint.fault = undefined;
  t.equal((await ask(gate, '/x', { token: 'good-admin' })).status, 403, 'the gateway lives');
});

t.test('a wrong or missing Content-Type is refused by default', async (t) => {
  const good = '{"active":true,"scope":"read"}';
  for (const type of ['text/html', 'text/plain', 'application/jsonp', 'application/xml', undefined]) {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    await survives(t, `${type}`, body(good, headers));
  }
  for (const type of [
    'application/json',
    'Application/JSON; charset=utf-8',
    'application/json;charset=UTF-8',
  ]) {
    const { gate } = await shared();
    gate.endpoint.fault = body(good, { 'content-type': type });
    t.equal((await ask(gate, '/x', { token: 'any' })).status, 200, type);
  }
});

t.test('requireContentType: false takes JSON whatever it is called', async (t) => {
  const { gate } = await start(t, { requireContentType: false });
  gate.endpoint.fault = body('{"active":true,"scope":"read"}', {});
  t.equal((await ask(gate, '/x', { token: 'any' })).status, 200);
});

t.test('a compressed answer is not expanded', async (t) => {
  const bomb = gzipSync(Buffer.from(`{"active":true,"scope":"read","x":"${' '.repeat(50_000_000)}"}`));
  t.ok(bomb.length < 262_144, 'small enough to pass the size limit');
  const gate = await survives(t, 'declared', body(bomb, { ...json, 'content-encoding': 'gzip' }));
  t.equal(gate.endpoint.requests[0]?.message.headers['accept-encoding'], 'identity', 'none was asked for');
  await survives(t, 'undeclared', body(bomb));
});

for (const text of [
  '{"active":"true","scope":"read"}',
  '{"active":1,"scope":"read"}',
  '{"active":null,"scope":"read"}',
  '{"scope":"read"}',
  'null',
  'true',
  '[{"active":true,"scope":"read"}]',
  '{"__proto__":{"active":true},"scope":"read"}',
]) {
  t.test(`${text} makes nothing active`, async (t) => {
    await survives(t, text, body(text));
  });
}

t.test('a connection reset in the middle of the body is 503', async (t) => {
  await survives(t, 'reset', ({ socket }, response) => {
    response.writeHead(200, { ...json, 'content-length': '1000' });
    response.write('{"active":true,"scope":"read"}', () => (socket as Socket).resetAndDestroy());
  });
});

t.test('a connection reset before a byte of the answer is 503', async (t) => {
  await survives(t, 'reset at once', ({ socket }) => void (socket as Socket).resetAndDestroy());
});

t.test('a connection that ends before Content-Length bytes have come is 503', async (t) => {
  await survives(t, 'short', ({ socket }, response) => {
    response.writeHead(200, { ...json, 'content-length': '1000' });
    response.write('{"active":true,"scope":"read"}', () => socket.end());
  });
});

t.test('chunks that end without the last one are 503', async (t) => {
  await survives(t, 'unfinished chunks', ({ socket }, response) => {
    response.writeHead(200, json);
    response.write('{"active":true,"scope":"read"}', () => socket.end());
  });
});

t.test('a kept-alive connection that the server closes on reuse is tried again once', async (t) => {
  const answer = '{"active":true,"scope":"read"}';
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', () => {
      if (++requests > 1) socket.destroy();
      else
        socket.write(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`,
        );
    });
  });
  const { gate } = await start(t, { url: `http://127.0.0.1:${await listening(t, server)}/introspect` });
  for (let i = 0; i < 3; i++) t.equal((await ask(gate, '/x', { token: `t${i}` })).status, 200);
  t.equal(connections, 3);
});

t.test(
  'a name that does not resolve, or resolves to where nobody listens, is 503 until it resolves anew',
  { jobs: 1 },
  async (t) => {
    const { lookup } = dns;
    t.teardown(() => {
      dns.lookup = lookup;
    });
    const failing = (code: string) =>
      answeringLookup((done) => done(Object.assign(new Error(code), { code }), []));
    const at = (address: string) => answeringLookup((done) => done(null, [{ address, family: 4 }]));
    // The same port on two loopback addresses, of which one at a time answers.
    const server = createServer(answering('{"active":true,"scope":"read"}'));
    const port = await listening(t, server, '127.0.0.2');
    const { gate, clock } = await start(t, {
      url: `http://as.test:${port}/introspect`,
      ...HASTY,
      retries: 0,
    });
    for (const [what, resolve] of [
      ['NXDOMAIN', failing('ENOTFOUND')],
      ['SERVFAIL', failing('EAI_AGAIN')],
      ['never', answeringLookup(() => {})],
      ['an address where nobody listens', at('127.0.0.1')],
    ] as const) {
      dns.lookup = resolve;
      refused(t, gate, await ask(gate, '/x', { token: 'any' }), what);
    }
    dns.lookup = at('127.0.0.2');
    await until(async () => {
      clock.advance(60_000);
      return (await ask(gate, '/x', { token: 'any' })).status === 200;
    });
    t.pass('no failure was kept: the name is resolved anew');
  },
);

t.test(
  'a server with an unknown authority, expired, for another host, without TLS or stalling gets no token',
  async (t) => {
    const DAY = 24 * 60 * 60 * 1000;
    const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const ca = join(folder, 'ca.pem');
    let served = 0;
    async function serve(names: readonly string[], now?: number) {
      const certificate = await makeCertificate(names, now);
      const server = createHttpsServer(certificate, (_message, response) => {
        served++;
        body('{"active":true,"scope":"read"}')(_message, response);
      });
      return { certificate, url: `https://127.0.0.1:${await listening(t, server)}/introspect` };
    }
    const good = await serve(['127.0.0.1']);
    const expired = await serve(['127.0.0.1'], Date.now() - 90 * DAY);
    const elsewhere = await serve(['as.example']);
    const plain = createServer(answering('{"active":true,"scope":"read"}'));
    const silent = createServer();
    const trusting = (pem: string) => {
      writeFileSync(ca, pem);
      return { tls: { ca } };
    };
    for (const [what, settings] of [
      ['unknown authority', { url: good.url }],
      ['expired', { url: expired.url, ...trusting(expired.certificate.ca) }],
      ['wrong host', { url: elsewhere.url, ...trusting(elsewhere.certificate.ca) }],
      ['plain HTTP behind https', { url: `https://127.0.0.1:${await listening(t, plain)}/introspect` }],
      ['stalled', { url: `https://127.0.0.1:${await listening(t, silent)}/introspect`, ...HASTY }],
    ] as const) {
      if (what === 'expired') writeFileSync(ca, expired.certificate.ca);
      if (what === 'wrong host') writeFileSync(ca, elsewhere.certificate.ca);
      const { gate } = await start(t, settings);
      refused(t, gate, await ask(gate, '/x', { token: 'any' }), what);
    }
    t.equal(served, 0, 'no token was sent to a server that did not prove who it is');
    writeFileSync(ca, good.certificate.ca);
    const { gate } = await start(t, { url: good.url, tls: { ca } });
    t.equal((await ask(gate, '/x', { token: 'any' })).status, 200, 'with the authority trusted it works');
  },
);

t.test('clocks that differ by five minutes: leeway says whether a token counts', async (t) => {
  for (const [leeway, skew, exp, nbf, status] of [
    ['0s', 0, 60, -60, 200],
    ['0s', 300, 60, -60, 401],
    ['0s', -300, 60, -60, 401],
    ['5m', 300, 60, -60, 200],
    ['5m', -300, 60, -60, 200],
    ['5m', 361, 60, -60, 401],
    ['5m', -361, 60, -60, 401],
  ] as const) {
    const clock = fakeClock();
    const wall = clock.wall();
    const { gate } = await start(
      t,
      { leeway },
      { clock, tokens: { token: { scope: 'read', exp: wall + exp, nbf: wall + nbf } } },
    );
    clock.step(skew);
    t.equal((await ask(gate, '/x', { token: 'token' })).status, status, `${skew} s off, leeway ${leeway}`);
    clock.step(-skew);
    t.equal((await ask(gate, '/x', { token: 'token' })).status, 200, 'and right again when the clock is');
  }
});

t.test('a clock that steps back prolongs no cached answer', async (t) => {
  const clock = fakeClock();
  const tokens = { token: { scope: 'read', exp: clock.wall() + 30 } };
  const { gate } = await start(t, {}, { clock, tokens });
  t.equal((await ask(gate, '/x', { token: 'token' })).status, 200);
  gate.endpoint.tokens.delete('token');
  clock.step(-300);
  clock.advance(30_000);
  t.equal((await ask(gate, '/x', { token: 'token' })).status, 401, 'the server was asked again');
  t.equal(gate.endpoint.asked.length, 2);
});

t.test('a cached token whose exp passes is refused at once', async (t) => {
  const clock = fakeClock();
  const tokens = { token: { scope: 'read', exp: clock.wall() + 30 } };
  const { gate } = await start(t, {}, { clock, tokens });
  clock.advance(29_999);
  t.equal((await ask(gate, '/x', { token: 'token' })).status, 200);
  clock.advance(1);
  const late = await ask(gate, '/x', { token: 'token' });
  t.equal(late.status, 401, 'though the server still says active');
  t.match(late.headers['www-authenticate'], /error="invalid_token"/);
  clock.step(-10);
  t.equal((await ask(gate, '/x', { token: 'token' })).status, 200);
  clock.step(10);
  t.equal(
    (await ask(gate, '/x', { token: 'token' })).status,
    401,
    'on a hit and after a step of the clock too',
  );
});

t.test('a token revoked while cached is refused within the ttl', async (t) => {
  const server = await startAuthorizationServer();
  t.teardown(() => server.close());
  const { gate, clock } = await start(t, { url: server.introspectionUrl, cache: { ttl: '60s' } });
  const token = await server.issueToken({ scope: 'read' });
  t.equal((await ask(gate, '/x', { token })).status, 200);
  await server.revoke(token);
  clock.advance(59_999);
  t.equal((await ask(gate, '/x', { token })).status, 200);
  clock.advance(1);
  t.equal((await ask(gate, '/x', { token })).status, 401);
});

t.test(
  'while the server is down, cached tokens are served to the end of their lives, never stale',
  async (t) => {
    const server = await startAuthorizationServer();
    t.teardown(() => server.close());
    const { gate, clock } = await start(t, { url: server.introspectionUrl });
    const now = clock.wall();
    const lasting = (seconds: number): Promise<string> =>
      server.issueToken({ scope: 'read', claims: { nbf: now, iat: now, exp: now + seconds } });
    const [long, short] = await Promise.all([lasting(3600), lasting(30)]);
    for (const token of [long, short]) t.equal((await ask(gate, '/x', { token })).status, 200);
    await server.stop();
    gate.upstream.received.length = 0;
    clock.advance(25_000);
    for (const token of [long, short]) t.equal((await ask(gate, '/x', { token })).status, 200);
    gate.upstream.received.length = 0;
    clock.advance(6_000);
    refused(t, gate, await ask(gate, '/x', { token: short }), 'after exp');
    t.equal((await ask(gate, '/x', { token: long })).status, 200);
    gate.upstream.received.length = 0;
    clock.advance(30_000);
    refused(t, gate, await ask(gate, '/x', { token: long }), 'after the ttl');
  },
);

t.test('a rule with staleIfError goes on for a bounded time, with safe methods', async (t) => {
  const strategy = { handler: 'oauth2_introspection', config: { required_scope: ['read'] } };
  const rules = apiRule('gate.example', [
    {
      path: '/patient',
      methods: ['GET', 'HEAD', 'POST'],
      accessStrategies: [strategy],
      scopegate: { staleIfError: '5m' },
    },
    { path: '/strict', methods: ['GET'], accessStrategies: [strategy] },
  ]);
  const clock = fakeClock();
  const now = clock.wall();
  const tokens = {
    long: { scope: 'read', exp: now + 3600 },
    other: { scope: 'write', exp: now + 3600 },
    short: { scope: 'read', exp: now + 90 },
    endless: { scope: 'read' },
    unseen: { scope: 'read', exp: now + 3600 },
    revoked: { scope: 'read', exp: now + 3600 },
  };
  const { gate } = await start(t, { cache: { ttl: '60s' } }, { clock, rules, tokens });
  const get = async (token: string, method: 'GET' | 'HEAD' | 'POST' = 'GET', path = '/patient') =>
    (await ask(gate, path, { token, method })).status;
  for (const token of ['long', 'other', 'short', 'endless', 'revoked']) await get(token);
  clock.advance(61_000);
  gate.endpoint.tokens.delete('revoked');
  t.equal(await get('revoked'), 401);
  gate.endpoint.fault = body('', {}, 500);
  t.equal(await get('long'), 200);
  const line = gate.log.findLast(({ audit }) => audit !== undefined);
  t.match(line, { decision: 'allow', introspection: 'stale', subject: '' });
  t.equal(await get('long', 'HEAD'), 200);
  t.equal(await get('long', 'POST'), 503, 'a method that changes something');
  t.equal(await get('long', 'GET', '/strict'), 503, 'a rule that does not ask for it');
  t.equal(await get('other'), 403, 'scopes are checked as ever');
  t.equal(await get('short'), 200);
  t.equal(await get('endless'), 503, 'a token without exp');
  t.equal(await get('unseen'), 503, 'a token that nothing is known of');
  clock.advance(10_000);
  t.equal(await get('revoked'), 503, 'a token that was not active when it was last asked about');
  clock.advance(19_000);
  t.equal(await get('short'), 503, 'its exp has passed');
  clock.step(-60);
  t.equal(await get('short'), 503, 'and a clock that is set back does not undo that');
  clock.step(60);
  clock.advance(269_999);
  t.equal(await get('long'), 200, 'five minutes after the end of its life, less a millisecond');
  clock.advance(1);
  t.equal(await get('long'), 503);
  const metrics = await (await fetch(`${gate.adminUrl}/metrics`)).text();
  t.match(metrics, /scopegate_introspection_lookups_total\{result="stale"\} 5\n/);
  gate.endpoint.fault = undefined;
  clock.advance(300_000);
  t.equal(await get('long'), 200);
  t.match(gate.log.at(-1), { introspection: 'miss' }, 'the server is asked as soon as it answers again');
});

async function listening(t: Test, server: Server, host = '127.0.0.1'): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, host);
  await once(server, 'listening');
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A server's connection handler that answers every request with this JSON. */
function answering(text: string): (socket: Socket) => void {
  return (socket) => {
    socket.on('error', () => {});
    socket.on('data', () =>
      socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
      ),
    );
  };
}

function answeringLookup(
  answer: (done: (error: Error | null, addresses: dns.LookupAddress[]) => void) => void,
): typeof dns.lookup {
  const lookup = (
    _name: string,
    options: dns.LookupOptions,
    callback: (...result: unknown[]) => void,
  ): void => {
    answer((error, addresses) => {
      process.nextTick(() => {
        if (options.all === true || error !== null) callback(error, addresses);
        else callback(null, addresses[0]?.address, addresses[0]?.family);
      });
    });
  };
  return lookup as unknown as typeof dns.lookup;
}
