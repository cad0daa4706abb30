import dns from 'node:dns';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ask } from '../../ask.js';
import { start as startAuthorizationServer } from '../../stack/authorization-server.js';
import { makeCertificate } from '../../stack/certificate.js';
import { until } from '../../until.js';
import { startBlackhole } from './blackhole.js';
import { body, HASTY, json, listening, refused, start, survives } from './faults-setup.js';

/** Takes a process of its own, which starts while other faults are tried. */
const blackhole = startBlackhole(t);

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
