import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http';
import { constants } from 'node:http2';
import { createServer as createTlsServer, request as tlsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import fc from 'fast-check';
import t from 'tap';
import { type Scope, startTestGateway } from '../gateway.js';
import { makeCertificate } from '../stack/certificate.js';
import { fields, startTlsGateway } from '../streams.js';
import { FORWARD_RULES } from './raw.js';

/** One upload that its upstream sends back. */
const exchanges = fc.array(
  fc.record({
    bytes: fc.integer({ min: 1, max: 800_000 }),
    /** Sizes of what the client writes, in turn. */
    pieces: fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 4 }),
    length: fc.boolean(),
    /** Turns of the event loop that the client waits before it reads on. */
    patience: fc.nat(3),
    /** After how many bytes the client leaves, or the upstream. */
    leaves: fc.option(fc.nat(800_000), { freq: 3 }),
    breaks: fc.option(fc.nat(800_000), { freq: 4 }),
  }),
  { minLength: 12, maxLength: 24 },
);

type Exchanges = typeof exchanges extends fc.Arbitrary<infer T> ? T : never;

/** A body that no other exchange has a part of: each of its words says whose it is, and where it stands. */
function bodyOf(id: number, bytes: number): Buffer {
  const body = Buffer.alloc(bytes + 4);
  for (let at = 0; at < bytes; at += 4) body.writeUInt32BE(id * 2 ** 18 + at / 4, at);
  return body.subarray(0, bytes);
}

/** Sends back what it gets, and breaks off where it is told to. */
const echo: RequestListener = (message, response) => {
  const { 'x-breaks': breaks, 'content-length': length } = message.headers;
  let left = breaks === undefined ? Number.POSITIVE_INFINITY : Number(breaks);
  response.writeHead(200, length === undefined ? {} : { 'content-length': length });
  message.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) message.socket.destroy();
    else if (!response.write(chunk)) message.pause();
  });
  response.on('drain', () => message.resume());
  message.on('end', () => response.end());
  message.on('error', () => {});
};

/** Starts an upstream that does. @returns the port */
async function startEcho(t: Scope, server: Server): Promise<number> {
  server.on('request', echo).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Opens a request: where its body goes, and where its answer will come from. */
type Open = (headers: Record<string, string>) => {
  readonly up: Writable;
  readonly down: Promise<{ readonly status: number; readonly body: Readable } | undefined>;
  leave(): void;
};

const overHttp =
  (ask: typeof httpRequest, url: string, ca?: string): Open =>
  (headers) => {
    const up = ask(`${url}/any`, {
      method: 'POST',
      headers: { ...headers, host: 'gate.example' },
      agent: false,
      ...(ca === undefined ? {} : { ca, servername: 'gate.example' }),
    });
    const down: ReturnType<Open>['down'] = new Promise((resolve) => {
      up.once('response', (body: IncomingMessage) => resolve({ status: body.statusCode ?? 0, body }));
      up.once('close', () => resolve(undefined));
    });
    return { up, down, leave: () => void up.destroy() };
  };

/** Does all of them at once, and says what was wrong with what came back. */
async function mingle(open: Open, all: Exchanges): Promise<string[]> {
  const wrong: string[] = [];
  await Promise.all(
    all.map(async ({ bytes, pieces, length, patience, leaves, breaks }, id) => {
      const body = bodyOf(id, bytes);
      const { up, down, leave } = open({
        ...(length ? { 'content-length': String(bytes) } : {}),
        ...(breaks === null ? {} : { 'x-breaks': String(breaks) }),
      });
      up.on('error', () => {});
      for (let at = 0, turn = 0; at < bytes; turn++) {
        const end = at + (pieces[turn % pieces.length] as number);
        up.write(body.subarray(at, end));
        at = end;
      }
      up.end();
      const answer = await down;
      if (answer === undefined) {
        if (leaves === null && breaks === null) wrong.push(`${id}: no answer`);
        return;
      }
      answer.body.on('error', () => {});
      if (answer.status !== 200) {
        // Where the upstream left before it began to answer.
        if (answer.status !== 502 || breaks === null) wrong.push(`${id}: ${answer.status}`);
        answer.body.resume();
        return;
      }
      let at = 0;
      try {
        for await (const chunk of answer.body as AsyncIterable<Buffer>) {
          if (!chunk.equals(body.subarray(at, at + chunk.length))) wrong.push(`${id}: other bytes at ${at}`);
          at += chunk.length;
          if (leaves !== null && at > leaves) leave();
          for (let turn = 0; turn < patience; turn++) await new Promise(setImmediate);
        }
      } catch {
        if (leaves === null && breaks === null) wrong.push(`${id}: broken off at ${at}`);
        return;
      }
      if (at !== bytes && (leaves === null || at <= leaves)) wrong.push(`${id}: whole at ${at} of ${bytes}`);
    }),
  );
  return wrong;
}

/** The law, for one way of getting to the gateway and on from it. */
async function holds(
  t: { same(got: unknown, wanted: unknown): unknown },
  way: () => Open | Promise<Open>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(exchanges, async (all) => {
      t.same(await mingle(await way(), all), []);
    }),
    { numRuns: 4, endOnFailure: true },
  );
}

t.test('bodies of many exchanges are never mingled, whoever leaves in the middle', async (t) => {
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: `http://127.0.0.1:${await startEcho(t, createServer())}`,
  });
  await holds(t, () => overHttp(httpRequest, gate.url));
});

t.test('nor with TLS on both sides, and HTTP/2', async (t) => {
  const { ca, cert, key } = await makeCertificate(['127.0.0.1']);
  const gate = await startTlsGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: `https://127.0.0.1:${await startEcho(t, createTlsServer({ cert, key }))}`,
    settings: { forward: { tls: { ca: join(t.testdir({ ca }), 'ca') } } },
  });
  await holds(t, () => overHttp(tlsRequest, gate.url, gate.ca));
  await holds(t, async () => {
    // Another connection each time: one whose client takes back too much is ended.
    const session = await gate.session();
    return (headers) => {
      const stream = session.request(fields({ ...headers, ':method': 'POST', ':path': '/any' }));
      return {
        up: stream,
        down: new Promise((resolve) => {
          stream.once('response', (head) => resolve({ status: head[':status'] ?? 0, body: stream }));
          stream.once('close', () => resolve(undefined));
        }),
        leave: () => stream.close(constants.NGHTTP2_CANCEL),
      };
    };
  });
});
