import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import { startChild } from '../child.js';
import type { Scope } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { makeCertificate } from '../stack/certificate.js';
import { FORWARD_RULES } from './raw.js';

const GIB = 1_073_741_824;
const LIMIT = 96 * 1_048_576;

/** A body of random bytes that is never whole in memory, and the hash of what was made of it. */
function source(bytes: number): { stream: Readable; hash: () => string } {
  const hash = createHash('sha256');
  const block = randomBytes(1_048_576);
  let left = bytes;
  let turn = 0;
  const stream = new Readable({
    read() {
      if (left === 0) {
        this.push(null);
        return;
      }
      // Never the same block twice, without the cost of new randomness.
      block.writeUInt32BE(turn++, 0);
      const piece = Buffer.from(block.subarray(0, Math.min(left, block.length)));
      left -= piece.length;
      hash.update(piece);
      this.push(piece);
    },
  });
  return { stream, hash: () => hash.digest('hex') };
}

async function digest(message: Readable): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of message) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return { bytes, hash: hash.digest('hex') };
}

/** Watches a process's resident memory. */
function watch(pid: number): { growth(): number; end(): void } {
  const now = (): number =>
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
  const start = now();
  let peak = start;
  const timer = setInterval(() => {
    peak = Math.max(peak, now());
  }, 20);
  return { growth: () => Math.max(peak, now()) - start, end: () => clearInterval(timer) };
}

t.test('1 GiB up and 1 GiB down: byte for byte, and in little memory', { timeout: 900_000 }, async (t) => {
  const { gate, got, sent } = await serve(t);
  const ask = (method: string, path: string, headers: Record<string, string | number> = {}) =>
    httpRequest(`${gate.url}${path}`, {
      method,
      headers: { host: 'gate.example', authorization: 'Bearer good-read', ...headers },
    });

  for (const framing of ['length', 'chunked']) {
    const body = source(GIB);
    const memory = watch(gate.process.pid as number);
    const begun = performance.now();
    const up = ask('POST', '/guarded/a', framing === 'length' ? { 'content-length': GIB } : {});
    const answered = once(up, 'response');
    await pipeline(body.stream, up);
    const [answer] = (await answered) as [IncomingMessage];
    answer.resume();
    t.equal(answer.statusCode, 200);
    t.same(got(), { bytes: GIB, hash: body.hash() }, `up, by ${framing}: the same bytes`);
    report(t, `up, by ${framing}`, memory.growth(), begun);
    memory.end();
  }
  for (const framing of ['length', 'chunked']) {
    const memory = watch(gate.process.pid as number);
    const begun = performance.now();
    const down = ask('GET', `/guarded/${framing}`).end();
    const [answer] = (await once(down, 'response')) as [IncomingMessage];
    const { bytes, hash } = await digest(answer);
    t.same({ bytes, hash }, { bytes: GIB, hash: sent() }, `down, by ${framing}: the same bytes`);
    report(t, `down, by ${framing}`, memory.growth(), begun);
    memory.end();
  }
});

t.test('the same over HTTP/2', { timeout: 900_000 }, async (t) => {
  const { ca, cert, key } = await makeCertificate(['gate.example']);
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  writeFileSync(tls.cert, cert);
  writeFileSync(tls.key, key);
  const { gate, got, sent } = await serve(t, tls);
  const session = connect(gate.url, { ca, servername: 'gate.example' });
  t.teardown(() => session.destroy());
  const fields = { ':authority': 'gate.example', authorization: 'Bearer good-read' };

  const body = source(GIB);
  const memory = watch(gate.process.pid as number);
  let begun = performance.now();
  const up = session.request({ ...fields, ':method': 'POST', ':path': '/guarded/a' });
  await Promise.all([pipeline(body.stream, up), once(up.resume(), 'end')]);
  t.same(got(), { bytes: GIB, hash: body.hash() }, 'up: the same bytes');
  report(t, 'up', memory.growth(), begun);
  begun = performance.now();
  const { bytes, hash } = await digest(session.request({ ...fields, ':path': '/guarded/length' }));
  t.same({ bytes, hash }, { bytes: GIB, hash: sent() }, 'down: the same bytes');
  report(t, 'down', memory.growth(), begun);
  memory.end();
});

/** A gateway in a process of its own, before an upstream that reads and sends 1 GiB. */
async function serve(t: Scope, tls?: object) {
  const endpoint = await startIntrospection({ 'good-read': { scope: 'read' } });
  let sent = source(0);
  let got: { bytes: number; hash: string } | undefined;
  const upstream = createServer(async (message, response) => {
    if (message.method === 'POST') {
      got = await digest(message);
      response.end('read');
      return;
    }
    sent = source(GIB);
    response.writeHead(200, message.url?.endsWith('chunked') ? {} : { 'content-length': GIB });
    await pipeline(sent.stream, response);
  });
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  t.teardown(() => Promise.all([endpoint.close(), upstream.close()]));
  const proxy = { host: '127.0.0.1', port: 0, ...(tls === undefined ? {} : { tls }) };
  const gate = await startChild(
    t,
    {
      listen: { proxy, admin: { host: '127.0.0.1', port: 0 } },
      services: { default: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}` },
      introspection: { url: endpoint.url },
      matching: { overlap: 'specific' },
    },
    FORWARD_RULES,
  );
  return { gate, got: () => got, sent: () => sent.hash() };
}

function report(
  t: { comment(text: string): void; ok(ok: boolean, text: string): unknown },
  what: string,
  growth: number,
  begun: number,
): void {
  const seconds = (performance.now() - begun) / 1000;
  t.comment(`${what}: ${seconds.toFixed(1)} s, ${(growth / 1_048_576).toFixed(1)} MiB more memory at most`);
  t.ok(growth < LIMIT, `${what}: ${(growth / 1_048_576).toFixed(1)} MiB`);
}
