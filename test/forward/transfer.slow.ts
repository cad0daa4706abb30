import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import { startChild } from '../child.js';
import { startIntrospection } from '../introspection.js';
import { FORWARD_RULES } from './raw.js';

const GIB = 1_073_741_824;
const LIMIT = 64 * 1_048_576;

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

async function digest(message: IncomingMessage): Promise<{ bytes: number; hash: string }> {
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
  const gate = await startChild(
    t,
    {
      services: { default: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}` },
      introspection: { url: endpoint.url },
      matching: { overlap: 'specific' },
    },
    FORWARD_RULES,
  );
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
    t.same(got, { bytes: GIB, hash: body.hash() }, `up, by ${framing}: the same bytes`);
    report(t, `up, by ${framing}`, memory.growth(), begun);
    memory.end();
  }
  for (const framing of ['length', 'chunked']) {
    const memory = watch(gate.process.pid as number);
    const begun = performance.now();
    const down = ask('GET', `/guarded/${framing}`).end();
    const [answer] = (await once(down, 'response')) as [IncomingMessage];
    const { bytes, hash } = await digest(answer);
    t.same({ bytes, hash }, { bytes: GIB, hash: sent.hash() }, `down, by ${framing}: the same bytes`);
    report(t, `down, by ${framing}`, memory.growth(), begun);
    memory.end();
  }
});

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
