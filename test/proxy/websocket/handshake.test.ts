import type { Socket } from 'node:net';
import t from 'tap';
import {
  apiRule,
  rule,
  type Scope,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from '../../gateway.js';
import { freePort } from '../../stack/port.js';
import { until } from '../../until.js';
import { open, sendRaw } from '../../wire.js';
import { FORWARD_RULES, type RawUpstream, request, startRawUpstream } from '../raw.js';
import { acceptFor, CLOSE, frame, readFrames } from './frame.js';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${KEY}`,
];
const TOKEN = 'Authorization: Bearer good-read';

/** The head of a 101 as a WebSocket server answers, with further fields. */
const switching = (...more: string[]): string =>
  [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptFor(KEY)}`,
    ...more,
    '',
    '',
  ].join('\r\n');

/** A gateway before an upstream that answers every handshake with the same bytes, or as it is told. */
async function before(
  t: Scope,
  answer: string | ((socket: Socket, head: string) => void),
  more: TestGatewayOptions = {},
): Promise<{ gate: TestGateway; upstream: RawUpstream }> {
  const upstream = await startRawUpstream(t, (socket, head) => {
    if (typeof answer === 'string') socket.write(answer, 'latin1');
    else answer(socket, head);
  });
  const gate = await startTestGateway(t, { rules: FORWARD_RULES, upstreamUrl: upstream.url, ...more });
  return { gate, upstream };
}

const handshake = (path = '/guarded/a', ...fields: string[]): string =>
  request(`GET ${path}`, [...HANDSHAKE, TOKEN, ...fields]);

/** Sends a handshake and reads what comes of it until something holds. */
async function shake(
  t: Scope,
  port: number,
  bytes: string | Buffer,
): Promise<{ socket: Socket; got: () => Buffer; closed: () => boolean }> {
  const socket = await open(port);
  t.teardown(() => socket.destroy());
  const pieces: Buffer[] = [];
  let closed = false;
  socket.on('data', (piece) => pieces.push(piece));
  socket.on('close', () => {
    closed = true;
  });
  socket.write(bytes, 'latin1');
  return { socket, got: () => Buffer.concat(pieces), closed: () => closed };
}

/** The head of what came, and what stands behind it. */
function parts(got: Buffer): { head: string; rest: Buffer } {
  const end = got.indexOf('\r\n\r\n');
  return { head: got.toString('latin1', 0, end), rest: got.subarray(end + 4) };
}

const audits = ({ log }: TestGateway) => log.filter((line) => line.audit !== undefined);

t.test('the upstream’s Host is the one that requests get', async (t) => {
  for (const host of ['upstream', 'preserve']) {
    const { gate, upstream } = await before(t, switching(), { settings: { forward: { host } } });
    const plain = await open(gate.port);
    plain.write(request('GET /guarded/a', [TOKEN]));
    const { got } = await shake(t, gate.port, handshake());
    await until(() => got().includes('\r\n\r\n') && upstream.heads.length === 2);
    plain.destroy();
    const hosts = upstream.heads.map((head) => /^host: (.*)\r$/im.exec(head)?.[1]);
    t.same(hosts, Array(2).fill(host === 'preserve' ? 'gate.example' : new URL(upstream.url).host));
  }
});

t.test('the upstream is offered every subprotocol and extension, and chooses', async (t) => {
  const offer = [
    'Sec-WebSocket-Protocol: graphql-transport-ws, graphql-ws',
    'Sec-WebSocket-Protocol: soap',
    'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  ];
  const choice = [
    'Sec-WebSocket-Protocol: graphql-ws',
    'Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover',
  ];
  for (const chosen of [choice, []]) {
    const { gate, upstream } = await before(t, switching(...chosen));
    const { got } = await shake(t, gate.port, handshake('/guarded/a', ...offer));
    await until(() => got().includes('\r\n\r\n'));
    const { head } = parts(got());
    t.match(head, /^HTTP\/1\.1 101 /);
    t.same(
      head.match(
        /^sec-websocket-(?:protocol|extensions): .*(?=\r)|^sec-websocket-(?:protocol|extensions): .*$/gim,
      ) ?? [],
      chosen,
    );
    t.same(
      upstream.heads[0]?.match(/^sec-websocket-.*(?=\r)/gim)?.map((field) => field.toLowerCase()),
      [...HANDSHAKE.slice(2), ...offer].map((field) => field.toLowerCase()),
    );
    t.match(upstream.heads[0], /\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n$/);
  }
});

t.test('the query goes on byte for byte, as with any request', async (t) => {
  const { gate, upstream } = await before(t, switching());
  for (const query of ["?a='b'", '?', '?a=b%2fc&&d', '?a=%27|"<>`{}', '']) {
    for (const fields of [HANDSHAKE, []]) {
      const socket = await open(gate.port);
      const seen = upstream.heads.length;
      socket.write(request(`GET /guarded/./a%41${query}`, [...fields, TOKEN]));
      await until(() => upstream.heads.length > seen || socket.destroyed || socket.bytesRead > 0);
      const first = upstream.heads[seen]?.split('\r\n')[0];
      if (first !== undefined) t.equal(first, `GET /guarded/aA${query} HTTP/1.1`);
      else t.match(query, /["<>`{}|]/, 'what is refused is refused for both');
      socket.destroy();
    }
  }
});

t.test('a field is what its name and value say, whatever an object has of that name', async (t) => {
  const names = ['constructor', '__proto__', 'hasOwnProperty', 'toString', 'valueOf'];
  const { gate, upstream } = await before(t, switching());
  const { got } = await shake(
    t,
    gate.port,
    handshake('/guarded/a', ...names.map((name) => `${name}: x`), 'x-twice: 1', 'X-Twice: 2'),
  );
  await until(() => got().includes('\r\n\r\n'));
  const head = upstream.heads[0] as string;
  // A name with an underscore passes to no upstream.
  for (const name of names.filter((each) => !each.includes('_'))) {
    t.same(head.match(new RegExp(`^${name}: .*(?=\r)`, 'gim')), [`${name.toLowerCase()}: x`]);
  }
  t.same(head.match(/^x-twice: .(?=\r)/gim), ['x-twice: 1', 'x-twice: 2']);
  t.notMatch(head, /native code|\[object/);
});

t.test('the upstream’s refusal is the client’s answer', async (t) => {
  const refusals = [
    'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="up"\r\nContent-Length: 4\r\n\r\nnope',
    'HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n2\r\npe\r\n0\r\n\r\n',
    'HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope',
    'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13, 8\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 4\r\n\r\nnope',
    'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 4\r\n\r\nnope',
    'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nnope',
  ];
  for (const refusal of refusals) {
    const { gate } = await before(t, refusal);
    const status = Number(refusal.slice(9, 12));
    const { answers, raw, closed } = await sendRaw(gate.port, handshake() + frame('x').toString('latin1'), {
      answers: 2,
    });
    t.equal(answers.length, 1);
    t.equal(answers[0]?.status, status);
    t.equal(answers[0]?.body.toString(), /nope|no\r/.test(refusal) ? 'nope' : '');
    for (const [, name = '', value] of refusal.matchAll(
      /^(www-auth.*|location|retry-after|sec-.*): (.*)\r$/gim,
    )) {
      t.same(answers[0]?.headers.get(name.toLowerCase()), [value]);
    }
    t.notMatch(raw.toString('latin1'), /^(?:upgrade|connection: upgrade)/im);
    t.ok(closed, 'and the connection ends');
    await until(() => audits(gate).length === 1);
    t.match(audits(gate)[0], { status, upstream_status: status, decision: 'allow' });
    t.notOk(audits(gate)[0]?.error ?? audits(gate)[0]?.cause);
  }
});

t.test('a large refusal reaches a client that reads slowly', async (t) => {
  const { gate } = await before(t, (socket) => {
    socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Length: 20000000\r\n\r\n${'x'.repeat(20_000_000)}`);
  });
  for (const fields of [HANDSHAKE, ['Connection: Upgrade', 'Upgrade: h2c']]) {
    const { socket, got, closed } = await shake(t, gate.port, request('GET /guarded/a', [...fields, TOKEN]));
    socket.pause();
    await until(() => socket.readableLength > 0);
    socket.resume();
    await until(closed);
    t.equal(parts(got()).rest.length, 20_000_000);
  }
});

t.test('an upstream that is not there, or gives no answer, is 502 or 504 as with any request', async (t) => {
  const gone = `http://127.0.0.1:${await freePort()}`;
  const silent = await startRawUpstream(t, () => {});
  const cases: [string, number, string, string][] = [
    [gone, 502, 'upstream_unreachable', 'ECONNREFUSED'],
    // What a library says of it is longer than a Close frame may be.
    [`http://${'a'.repeat(60)}.${'b'.repeat(60)}.invalid`, 502, 'upstream_unreachable', 'E'],
    [silent.url, 504, 'upstream_timeout', 'headers_timeout'],
  ];
  for (const [upstreamUrl, status, error, cause] of cases) {
    const rules = apiRule('gate.example', [rule('/.*', ['GET'], 'read')]).replace(
      '"spec":{',
      '"spec":{"timeout":1,',
    );
    const gate = await startTestGateway(t, { rules, upstreamUrl });
    const { answers, closed } = await sendRaw(gate.port, handshake(), { answers: 2 });
    t.same(
      answers.map((answer) => answer.status),
      [status],
    );
    t.ok(closed);
    t.match(JSON.parse(answers[0]?.body.toString() ?? ''), { error: { code: status } });
    await until(() => audits(gate).length === 1);
    t.match(audits(gate)[0], { status, error, decision: 'allow', cause: new RegExp(`^${cause}`) });
    const metrics = await (await fetch(`${gate.adminUrl}/metrics`)).text();
    t.match(metrics, new RegExp(`^scopegate_errors_total\\{[^}]*error="${error}"[^}]*\\} 1$`, 'm'));
    t.notMatch(metrics, /status="101"/);
  }
  await until(() => silent.sockets.size === 0);
  t.pass('and the upstream that was silent is left');
});

t.test(
  'WebSockets count among the exchanges that last, and have a place there as long as they are open',
  async (t) => {
    const { gate, upstream } = await before(t, switching(), { settings: { forward: { longExchanges: 1 } } });
    const first = await shake(t, gate.port, handshake());
    await until(() => first.got().includes(' 101 '));
    const { answers } = await sendRaw(gate.port, handshake());
    t.equal(answers[0]?.status, 503);
    t.same(answers[0]?.headers.get('retry-after'), ['1']);
    t.equal(upstream.heads.length, 1, 'the upstream is not asked');
    await until(() => audits(gate).length === 2);
    t.match(audits(gate)[1], { status: 503, error: 'overloaded', cause: 'long_exchanges_full' });
    first.socket.destroy();
    await until(async () => {
      const again = await shake(t, gate.port, handshake());
      await until(() => again.got().length > 0);
      return again.got().includes(' 101 ');
    });
    t.pass('and give it back');
  },
);

t.test('a WebSocket is in its client’s share as long as it is open', async (t) => {
  const { gate, upstream } = await before(t, switching(), {
    settings: { server: { clientShare: { longExchanges: 1 } } },
  });
  const first = await shake(t, gate.port, handshake());
  await until(() => first.got().includes(' 101 '));
  t.equal((await sendRaw(gate.port, handshake())).answers[0]?.status, 429);
  t.equal(upstream.heads.length, 1, 'the upstream is not asked');
  await until(() => audits(gate).length === 2);
  t.match(audits(gate)[1], { status: 429, error: 'too_many_requests', cause: 'client_share' });
  first.socket.destroy();
  await until(async () => {
    const again = await shake(t, gate.port, handshake());
    await until(() => again.got().length > 0);
    return again.got().includes(' 101 ');
  });
  t.pass('and gives it back');
});

t.test('a handshake that the upstream refuses gives its client’s share back', async (t) => {
  const { gate } = await before(t, 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n', {
    settings: { server: { clientShare: { longExchanges: 1 } } },
  });
  for (let i = 0; i < 3; i++) t.equal((await sendRaw(gate.port, handshake())).answers[0]?.status, 403);
});

t.test('a handshake may come on a connection that was used, which then carries nothing else', async (t) => {
  let refuse = false;
  const { gate, upstream } = await before(t, (socket, head) => {
    if (!/^upgrade/im.test(head)) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    else socket.write(refuse ? 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n' : switching());
  });
  const plain = async () => (await sendRaw(gate.port, request('GET /guarded/a', [TOKEN]))).answers[0]?.status;
  t.equal(await plain(), 200);
  const { got } = await shake(t, gate.port, handshake());
  await until(() => got().includes(' 101 '));
  t.equal(upstream.connections(), 1);
  t.equal(await plain(), 200);
  t.equal(upstream.connections(), 2);
  refuse = true;
  t.equal((await sendRaw(gate.port, handshake())).answers[0]?.status, 403);
  t.equal(upstream.connections(), 2);
  t.equal(await plain(), 200);
  t.equal(upstream.connections(), 3, 'not even where it was refused');
});

t.test('a handshake on a connection that the upstream just left is sent once more', async (t) => {
  let left = false;
  const { gate, upstream } = await before(
    t,
    (socket, head) => {
      if (!/^upgrade/im.test(head)) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else if (left) socket.write(switching());
      else {
        left = true;
        socket.resetAndDestroy();
      }
    },
    { settings: { forward: { longExchanges: 1 } } },
  );
  await sendRaw(gate.port, request('GET /guarded/a', [TOKEN]));
  const { got } = await shake(t, gate.port, handshake());
  await until(() => got().length > 0);
  t.match(got().toString('latin1'), /^HTTP\/1\.1 101 /);
  t.equal(upstream.heads.length, 3);
  t.equal((await sendRaw(gate.port, handshake())).answers[0]?.status, 503, 'and counts as one that lasts');
});

t.test('a 101 that does not switch to WebSocket, or not for this handshake, is 502', async (t) => {
  const whole = switching();
  const wrong: Readonly<Record<string, string>> = {
    'no Upgrade': whole.replace('Upgrade: websocket\r\n', ''),
    'another Upgrade': whole.replace('websocket\r\n', 'h2c\r\n'),
    'two Upgrades': whole.replace('websocket\r\n', 'websocket, h2c\r\n'),
    'no Connection': whole.replace('Connection: Upgrade\r\n', ''),
    'another Connection': whole.replace('Connection: Upgrade', 'Connection: keep-alive'),
    'a Connection that ends': whole.replace('Connection: Upgrade', 'Connection: Upgrade, close'),
    'HTTP/1.0': whole.replace('HTTP/1.1', 'HTTP/1.0'),
    'no Accept': whole.replace(/Sec-.*\r\n/, ''),
    'the Accept of another key': whole.replace(/Sec-.*\r\n/, `Sec-WebSocket-Accept: ${acceptFor('x')}\r\n`),
    'two Accepts': whole.replace('\r\n\r\n', `\r\nSec-WebSocket-Accept: ${acceptFor('x')}\r\n\r\n`),
    'a head that is none': whole.replace('Upgrade: ', 'Upgrade : '),
  };
  for (const [name, answer] of Object.entries(wrong)) {
    const { gate, upstream } = await before(t, answer);
    const { answers, closed } = await sendRaw(gate.port, handshake(), { answers: 2 });
    t.same(
      answers.map(({ status }) => status),
      [502],
      name,
    );
    t.ok(closed);
    await until(() => audits(gate).length === 1);
    const cause = /Accept/.test(name)
      ? 'websocket_not_accepted'
      : name === 'a head that is none'
        ? 'answer_invalid'
        : 'websocket_not_switched';
    t.match(audits(gate)[0], { status: 502, error: 'upstream_invalid', cause }, name);
    await until(() => upstream.sockets.size === 0);
  }
});

t.test(
  'a 101 brings the upstream’s fields, but none that frames a body or belongs to its connection',
  async (t) => {
    const { gate } = await before(
      t,
      switching(
        'Set-Cookie: a=1',
        'Set-Cookie: b=2',
        'X-Served-By: up',
        'Content-Length: 5',
        'Keep-Alive: timeout=5',
        'Proxy-Authenticate: Basic',
      ).replace('Connection: Upgrade', 'Connection: upgrade, X-Hop\r\nX-Hop: 1'),
    );
    const { got } = await shake(t, gate.port, handshake());
    await until(() => got().includes('\r\n\r\n'));
    t.same(parts(got()).head.split('\r\n'), [
      'HTTP/1.1 101 Switching Protocols',
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
      'X-Served-By: up',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${acceptFor(KEY)}`,
    ]);
    await until(() => audits(gate).length === 1);
    t.match(audits(gate), [{ status: 101, upstream_status: 101, decision: 'allow' }]);
    t.notOk(audits(gate)[0]?.cause);
  },
);

t.test('interim answers come before a 101, too', async (t) => {
  const { gate } = await before(t, `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${switching()}`);
  const { got } = await shake(t, gate.port, handshake());
  await until(() => got().includes(' 101 '));
  t.pass('it is switched');
});

t.test('a 101 of a request that did not ask for it is still 502', async (t) => {
  const { gate } = await before(t, switching());
  const half = HANDSHAKE.filter((field) => !field.startsWith('Sec-WebSocket-Key'));
  for (const fields of [[], half, ['Connection: Upgrade', 'Upgrade: h2c']]) {
    const { answers } = await sendRaw(gate.port, request('GET /guarded/a', [...fields, TOKEN]));
    t.equal(answers[0]?.status, 502);
  }
});

t.test('the version is for the upstream to judge', async (t) => {
  const { gate, upstream } = await before(t, (socket, head) => {
    const served = /^sec-websocket-version: 13\r$/im.test(head);
    socket.write(
      served
        ? switching()
        : 'HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n',
    );
  });
  const { answers } = await sendRaw(gate.port, handshake().replace('Version: 13', 'Version: 8'));
  t.equal(answers[0]?.status, 426);
  t.same(answers[0]?.headers.get('sec-websocket-version'), ['13']);
  t.match(upstream.heads[0], /^sec-websocket-version: 8\r$/m);
});

t.test('what was sent together with a handshake or its answer is passed on behind it', async (t) => {
  const early: Buffer[] = [];
  const { gate } = await before(t, (socket) => {
    socket.on('data', (bytes) => early.push(bytes));
    socket.write(Buffer.concat([Buffer.from(switching()), frame('welcome')]));
  });
  const messages = Array.from({ length: 3_000 }, (_, i) => frame(String(i), { masked: true }));
  const { got } = await shake(t, gate.port, Buffer.concat([Buffer.from(handshake()), ...messages]));
  await until(() => readFrames(Buffer.concat(early)).frames.length === messages.length);
  t.ok(Buffer.concat(early).equals(Buffer.concat(messages)), 'byte for byte, in order');
  t.equal(readFrames(parts(got()).rest).frames[0]?.payload.toString(), 'welcome');
});

t.test(
  'nothing of a client reaches the upstream, or is read without bound, before the upstream has switched',
  async (t) => {
    const release: (() => void)[] = [];
    const bodies: Buffer[] = [];
    const { gate } = await before(t, (socket) => {
      socket.on('data', (bytes) => bodies.push(bytes));
      release.push(() => socket.write(switching()));
    });
    const { socket, got } = await shake(t, gate.port, handshake());
    await until(() => release.length === 1);
    const piece = frame(Buffer.alloc(64_000), { masked: true });
    let sent = 0;
    // The kernel's own buffers take some megabytes on their way.
    while (sent < 100_000_000 && socket.writableLength < 8_000_000) {
      socket.write(piece);
      sent += piece.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.ok(sent < 100_000_000, `stopped after ${sent} bytes`);
    t.equal(got().length, 0, 'the client is told nothing yet');
    t.equal(bodies.length, 0);
    release[0]?.();
    await until(() => bodies.reduce((sum, { length }) => sum + length, 0) === sent);
    t.match(got().toString('latin1'), /^HTTP\/1\.1 101 /);
  },
);

t.test('a client that leaves while the upstream decides takes its handshake back', async (t) => {
  const { gate, upstream } = await before(t, () => {});
  const leave = [(socket: Socket) => socket.resetAndDestroy(), (socket: Socket) => socket.end()];
  for (const [i, go] of leave.entries()) {
    const { socket } = await shake(t, gate.port, handshake());
    await until(() => upstream.heads.length === i + 1);
    go(socket);
    await until(() => upstream.sockets.size === 0 && audits(gate).length === i + 1);
    t.match(audits(gate)[i], { status: 0, cause: 'client_closed' });
  }
});

t.test('a token that has expired meanwhile lets nothing through', async (t) => {
  const release: (() => void)[] = [];
  const bodies: Buffer[] = [];
  const upstream = await startRawUpstream(t, (socket) => {
    socket.on('data', (bytes) => bodies.push(bytes));
    release.push(() => socket.write(Buffer.concat([Buffer.from(switching()), frame('secret')])));
  });
  let now = 1_000;
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    upstreamUrl: upstream.url,
    clock: { wall: () => now, monotonic: () => now },
    tokens: { 'good-read': { scope: 'read', exp: 1_010 } },
  });
  const { got } = await shake(
    t,
    gate.port,
    Buffer.concat([Buffer.from(handshake()), frame('early', { masked: true })]),
  );
  await until(() => release.length === 1);
  now = 1_010;
  release[0]?.();
  await until(() => bodies.length > 0);
  t.match(readFrames(parts(got()).rest).frames, [{ opcode: CLOSE, code: 1008, reason: 'token expired' }]);
  t.match(readFrames(Buffer.concat(bodies)).frames, [{ opcode: CLOSE, masked: true, code: 1008 }]);
});

t.test('a handshake that is done while the gateway drains is ended at once', async (t) => {
  const release: (() => void)[] = [];
  const { gate } = await before(t, (socket) => {
    release.push(() => socket.write(switching()));
  });
  const { socket, got, closed } = await shake(t, gate.port, handshake());
  await until(() => release.length === 1);
  const drained = gate.gateway.close();
  release[0]?.();
  await until(() => readFrames(parts(got()).rest).frames.length === 1);
  t.match(readFrames(parts(got()).rest).frames, [{ opcode: CLOSE, code: 1001, reason: 'going away' }]);
  socket.write(frame('\x03\xe9', { opcode: CLOSE, masked: true }));
  await until(closed);
  t.equal(await drained, true);
});

t.test(
  'a handshake is rewritten as any request: token in the query, loops, fields of the gateway’s',
  async (t) => {
    const sourced = apiRule('gate.example', [
      {
        path: '/.*',
        methods: ['GET'],
        accessStrategies: [
          {
            handler: 'oauth2_introspection',
            config: { required_scope: ['read'], token_from: { query_parameter: 'key' } },
          },
        ],
      },
    ]);
    const { gate, upstream } = await before(t, switching('Cache-Control: no-cache'), { rules: sourced });
    const { got } = await shake(
      t,
      gate.port,
      request('GET /ws?a=1&key=good-read&b=2', [
        ...HANDSHAKE,
        'X-User: root',
        'X-Forwarded-For: 6.6.6.6',
        'X-Forwarded-Proto: https',
      ]),
    );
    await until(() => got().includes('\r\n\r\n'));
    const [head = ''] = upstream.heads;
    t.match(head, /^GET \/ws\?a=1&b=2 HTTP\/1\.1\r\n/);
    t.notMatch(head, /good-read|x-user|6\.6\.6\.6/i);
    t.match(head, /^x-forwarded-proto: http\r$/m);
    t.match(parts(got()).head, /^cache-control: private$/im, 'as RFC 6750 §2.3 asks');
    const via = /^via: (.*)\r$/m.exec(head)?.[1];
    const { answers } = await sendRaw(
      gate.port,
      request('GET /ws?key=good-read', [...HANDSHAKE, `Via: ${via}`]),
    );
    t.equal(answers[0]?.status, 508);
    t.equal(upstream.heads.length, 1);
  },
);
