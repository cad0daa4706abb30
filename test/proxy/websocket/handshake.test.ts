import t from 'tap';
import { apiRule, rule, startTestGateway } from '../../gateway.js';
import { freePort } from '../../stack/port.js';
import { until } from '../../until.js';
import { open, sendRaw } from '../../wire.js';
import { request, startRawUpstream } from '../raw.js';
import { frame } from './frame.js';
import { audits, before, HANDSHAKE, handshake, parts, shake, switching, TOKEN } from './handshake-setup.js';

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
