import { createServer, type RequestListener } from 'node:http';
import { Duplex } from 'node:stream';
import t from 'tap';
import { endInOneWrite } from '../../src/proxy/single-write.js';

/** A connection that keeps what is written to it, write by write. */
class Connection extends Duplex {
  readonly writes: Buffer[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.writes.push(chunk);
    done();
  }

  /** Node calls this if several writes are waiting: they are one write to a client, but are gathered first. */
  override _writev(chunks: readonly { chunk: Buffer }[], done: () => void): void {
    for (const { chunk } of chunks) this.writes.push(chunk);
    done();
  }
}

/** What the requests of one connection are answered with, write by write. */
async function writesOf(requests: string, count: number, serve: RequestListener): Promise<string[]> {
  const server = createServer(serve);
  const connection = new Connection();
  await new Promise<void>((resolve) => {
    let finished = 0;
    server.on('request', (_, response) => {
      response.once('finish', () => {
        if (++finished === count) setImmediate(resolve);
      });
    });
    server.emit('connection', connection);
    connection.push(requests);
  });
  connection.destroy();
  return connection.writes.map((chunk) => chunk.toString('latin1'));
}

const GET = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

t.test('a small response costs one write, head and body together, byte for byte', async (t) => {
  const [write = '', ...others] = await writesOf(GET, 1, (_, response) => {
    response.writeHead(200, ['content-length', '3', 'x-name', 'caf\xe9']);
    endInOneWrite(response, '\xff\x00\x80');
  });
  t.strictSame(others, [], 'no further write, not even an empty one');
  t.match(write, /^HTTP\/1\.1 200 OK\r\n/);
  t.ok(write.includes('x-name: caf\xe9\r\n'), 'a byte of a field is not turned into two');
  t.ok(write.endsWith('\r\n\r\n\xff\x00\x80'));
});

t.test('pipelined responses come whole and in order', async (t) => {
  const waiting: (() => void)[] = [];
  const writes = await writesOf(GET.repeat(3), 3, (_, response) => {
    const body = String(waiting.length).repeat(2);
    waiting.push(() => {
      response.writeHead(200, { 'content-length': 2 });
      endInOneWrite(response, body);
    });
    // The last is answered first.
    if (waiting.length === 3) for (const answer of waiting.reverse()) answer();
  });
  t.strictSame(
    writes
      .join('')
      .split('HTTP/1.1 200 OK')
      .slice(1)
      .map((response) => response.slice(-2)),
    ['00', '11', '22'],
  );
});

t.test('a response that has no body has none', async (t) => {
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 304],
    ['GET', 204],
  ] as const) {
    const writes = await writesOf(GET.replace('GET', method), 1, (_, response) => {
      response.writeHead(status, {});
      endInOneWrite(response, 'body');
    });
    t.match(writes.join(''), /^HTTP\/1\.1 .+\r\n\r\n$/s, `${method} ${status}`);
  }
});
