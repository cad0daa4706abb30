import type { Socket } from 'node:net';
import t from 'tap';
import { type Scope, startTestGateway, type TestGateway } from '../gateway.js';
import { freePort } from '../stack/port.js';
import { until } from '../until.js';
import { sendRaw } from '../wire.js';
import { converse, FORWARD_RULES, type RawUpstream, request, startRawUpstream } from './raw.js';

// Each has a gateway of its own and waits most of its time.
t.jobs = 4;

/**
 * What an upstream says, and whether it then ends the connection, and how. A `|` parts what must arrive by itself:
 * a reader that finds bytes and a reset in one look takes the reset for an end.
 */
type Fault = readonly [answer: string, then?: 'end' | 'reset' | 'stay'];

const OK = 'HTTP/1.1 200 OK\r\n';

/** Answers that are none: 502 with nothing of them in it. */
const INVALID: Readonly<Record<string, Fault>> = {
  'a close before any byte': ['', 'end'],
  'a reset before any byte': ['', 'reset'],
  'a close within the head': [`${OK}Content-Le`, 'end'],
  'no HTTP at all': ['SSH-2.0-OpenSSH_9.2\r\n', 'stay'],
  'HTTP/0.9': ['<html>hello</html>', 'end'],
  'a status of four digits': ['HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nhi'],
  'a status of two digits': ['HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nhi'],
  'a head of 80 kB': [`${OK}X-Long: ${'a'.repeat(80_000)}\r\nContent-Length: 2\r\n\r\nhi`],
  'a tab after Transfer-Encoding': [`${OK}Transfer-Encoding: chunked\t\r\n\r\n2\r\nhi\r\n0\r\n\r\n`],
  'a tab before Content-Length': [`${OK}Content-Length:\t2\r\n\r\nhi`],
  'two equal Content-Lengths': [`${OK}Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi`],
  'two different Content-Lengths': [`${OK}Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello`],
  'a list of Content-Lengths': [`${OK}Content-Length: 2, 2\r\n\r\nhi`],
  'a negative Content-Length': [`${OK}Content-Length: -2\r\n\r\nhi`],
  'a Content-Length with a sign': [`${OK}Content-Length: +2\r\n\r\nhi`],
  'a Content-Length that is not a number': [`${OK}Content-Length: two\r\n\r\nhi`],
  'a Content-Length out of range': [`${OK}Content-Length: 18446744073709551618\r\n\r\nhi`],
  'Content-Length, then Transfer-Encoding': [
    `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
  ],
  'Transfer-Encoding, then Content-Length': [
    `${OK}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
  ],
  'a NUL in a value': [`${OK}X-A: a\0b\r\nContent-Length: 2\r\n\r\nhi`],
  'a bare CR in a value': [`${OK}X-A: a\rX-B: b\r\nContent-Length: 2\r\n\r\nhi`],
  'a bare LF in a value': [`${OK}X-A: a\nX-B: b\r\nContent-Length: 2\r\n\r\nhi`],
  'a control in a value': [`${OK}X-A: a\x01b\r\nContent-Length: 2\r\n\r\nhi`],
  'a space in a name': [`${OK}X A: a\r\nContent-Length: 2\r\n\r\nhi`],
  'a space before the colon': [`${OK}X-A : a\r\nContent-Length: 2\r\n\r\nhi`],
  'an empty name': [`${OK}: a\r\nContent-Length: 2\r\n\r\nhi`],
  'a folded field': [`${OK}X-A: a\r\n b\r\nContent-Length: 2\r\n\r\nhi`],
  '101 unasked': [
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
    'stay',
  ],
  'an interim answer that says the connection ends': [
    `HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n${OK}Content-Length: 2\r\n\r\nhi`,
  ],
  'an interim answer of HTTP/1.0': [
    `HTTP/1.0 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}Content-Length: 2\r\n\r\nhi`,
  ],
  'more interim answers than an honest upstream sends': [
    `${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(40)}${OK}Content-Length: 2\r\n\r\nhi`,
  ],
};

/** Answers that break off after their head has been passed on: the client must see that they do. */
const TRUNCATED: Readonly<Record<string, Fault>> = {
  'a body shorter than its length, closed': [`${OK}Content-Length: 10\r\n\r\nhello`, 'end'],
  'a body shorter than its length, reset': [`${OK}Content-Length: 10\r\n\r\nhello|`, 'reset'],
  'chunks without the last one, closed': [`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`, 'end'],
  'chunks without the last one, reset': [`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n|`, 'reset'],
  'half a chunk': [`${OK}Transfer-Encoding: chunked\r\n\r\na\r\nhello`, 'end'],
  'a chunk size that is none': [`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n|xyz\r\n`, 'stay'],
  'a chunk size with a space after it': [
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n|0 \r\n\r\n`,
    'stay',
  ],
  'a chunk longer than its size': [
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello|!!\r\n0\r\n\r\n`,
    'stay',
  ],
  'a chunk size out of range': [
    `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n|fffffffffffffffff\r\n`,
    'stay',
  ],
  'an unframed body, reset': [`${OK}\r\nhello|`, 'reset'],
  'a body that stalls': [`${OK}Content-Length: 10\r\n\r\nhello`, 'stay'],
};

async function play([answer, then]: Fault, socket: Socket): Promise<void> {
  for (const [i, part] of answer.split('|').entries()) {
    if (i > 0) await new Promise((resolve) => setTimeout(resolve, 40));
    socket.write(part, 'latin1');
  }
  if (then === 'end') socket.end();
  else if (then === 'reset') socket.resetAndDestroy();
}

async function between(
  t: Scope,
  faults: Readonly<Record<string, Fault>>,
): Promise<{ gate: TestGateway; raw: RawUpstream }> {
  const list = Object.values(faults);
  const raw = await startRawUpstream(t, (socket, head) => {
    const at = /^GET \/fault\/(\d+) /.exec(head)?.[1];
    const fault: Fault =
      at === undefined ? [`${OK}Content-Length: 4\r\n\r\nfine`] : (list[Number(at)] as Fault);
    void play(fault, socket);
  });
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: raw.url,
    settings: { forward: { idleTimeout: '1500ms' } },
  });
  return { gate, raw };
}

t.test('R9110-19 R9112-20 an answer that is none becomes 502', async (t) => {
  const { gate, raw } = await between(t, INVALID);
  for (const [at, name] of Object.keys(INVALID).entries()) {
    const { answers, raw: bytes } = await sendRaw(gate.port, request(`GET /fault/${at}`));
    t.equal(answers[0]?.status, 502, `${name}: ${bytes.toString('latin1').slice(0, 200)}`);
    t.match(answers[0]?.headers.get('content-type'), ['application/json; charset=utf-8'], name);
    t.notMatch(
      answers[0]?.body.toString(),
      /ECONN|127\.0\.0\.1|HPE_|UND_|socket|Parse/i,
      `${name}: no internals`,
    );
    const after = await sendRaw(gate.port, request('GET /fine'));
    t.equal(after.answers[0]?.body.toString(), 'fine', `${name}: the next request is served`);
  }
  await until(() => raw.sockets.size <= 1);
  t.pass('broken connections are not kept');
});

t.test('R9112-22 an answer that breaks off is seen to break off', async (t) => {
  const { gate, raw } = await between(t, TRUNCATED);
  for (const [at, name] of Object.keys(TRUNCATED).entries()) {
    const heard = await converse(gate.port, request(`GET /fault/${at}`));
    t.match(heard.raw, /^HTTP\/1\.1 200 OK\r\n/, name);
    t.match(heard.raw, /hello/, `${name}: what came is passed on`);
    if (/Content-Length/i.test(heard.raw)) t.match(heard.raw, /content-length: 10/i, name);
    else t.notMatch(heard.raw, /\r\n0\r\n\r\n$/, `${name}: no last chunk`);

    const old = await converse(gate.port, `GET /fault/${at} HTTP/1.0\r\nHost: gate.example\r\n\r\n`);
    t.match(old.raw, /hello/, `${name}, HTTP/1.0`);
    t.notMatch(old.raw, /transfer-encoding/i, `${name}, HTTP/1.0: no chunks`);
    t.ok(/content-length: 10/i.test(old.raw) || old.end === 'reset', `${name}, HTTP/1.0: ${old.end}`);
    const after = await sendRaw(gate.port, request('GET /fine'));
    t.equal(after.answers[0]?.body.toString(), 'fine', `${name}: the next request is served`);
  }
  await until(() => raw.sockets.size <= 1);
  t.pass('broken connections are not kept');
});

t.test('an answer framed by the end of its connection is passed on whole', async (t) => {
  const { gate } = await between(t, { closed: [`${OK}\r\nhello`, 'end'] });
  const modern = await sendRaw(gate.port, request('GET /fault/0'));
  t.equal(modern.answers[0]?.body.toString(), 'hello');
  t.match(modern.answers[0]?.headers.get('transfer-encoding'), ['chunked']);
  const old = await converse(gate.port, 'GET /fault/0 HTTP/1.0\r\nHost: gate.example\r\n\r\n');
  t.match(old.raw, /\r\n\r\nhello$/);
  t.equal(old.end, 'fin');
});

t.test('an upstream that refuses the connection: 502, and the process lives on', async (t) => {
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: `http://127.0.0.1:${await freePort()}`,
    settings: { server: { bodyIdleTimeout: '50ms' } },
  });
  const { answers } = await sendRaw(gate.port, request('POST /', ['Content-Length: 5'], 'hello'));
  t.equal(answers[0]?.status, 502);
  t.notMatch(answers[0]?.body.toString(), /ECONNREFUSED|127\.0\.0\.1/);
  // The clock of the unread body must have been stopped with it: that of a later one has run out by now.
  const late = await sendRaw(gate.port, request('POST /', ['Content-Length: 5'], 'hell'));
  t.equal(late.answers[0]?.status, 408);
  t.equal((await sendRaw(gate.port, request('GET /'))).answers[0]?.status, 502);
});
