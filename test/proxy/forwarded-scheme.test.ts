import t from 'tap';
import { apiRule, startTestGateway } from '../gateway.js';
import { makeClientKey } from '../proof.js';
import { sendRaw } from '../wire.js';

/** What a trusted proxy may write, and what it means; undefined: nothing that is one thing. */
const SAID: readonly (readonly [lines: readonly string[], scheme: string | undefined])[] = [
  [[], 'http'],
  ...['https', 'HTTPS', 'Https', 'wss', 'WSS', ' https ', 'https,https', 'https, wss', 'HTTPS ,\thttps'].map(
    (value) => [[value], 'https'] as const,
  ),
  ...['http', 'HTTP', 'ws', 'ws, http'].map((value) => [[value], 'http'] as const),
  [['https', 'wss'], 'https'],
  ...['https,http', 'http, https', 'file', 'https;', '', ',', 'https,', 'constructor', '__proto__'].map(
    (value) => [[value], undefined] as const,
  ),
  [['https', 'http'], undefined],
];

const RULES = apiRule('gate.example', [
  { path: '/any', methods: ['GET'], accessStrategies: [{ handler: 'oauth2_introspection' }] },
]);
const WEBSOCKET = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

t.test('X-Forwarded-Proto of a trusted proxy means one thing everywhere', async (t) => {
  const key = await makeClientKey();
  const gate = await startTestGateway(t, {
    rules: RULES,
    tokens: { t: {}, bound: { cnf: { jkt: key.jkt } } },
    settings: { trustedProxies: ['127.0.0.0/8'], proof: { dpop: { enabled: true } } },
  });
  for (const [lines, scheme] of SAID) {
    const what = JSON.stringify(lines);
    const said = lines.map((line) => `X-Forwarded-Proto: ${line}`);
    const proxy = async (...more: readonly string[]) => {
      gate.upstream.received.length = 0;
      const bytes = ['GET /any HTTP/1.1', 'Host: gate.example', ...said, ...more, '', ''].join('\r\n');
      return (await sendRaw(gate.port, bytes)).answers[0];
    };
    const decisions = async (...more: readonly string[]) => {
      const described = [
        'X-Forwarded-Method: GET',
        'X-Forwarded-Host: gate.example',
        'X-Forwarded-Uri: /any',
      ];
      const bytes = ['GET /decisions HTTP/1.1', 'Host: x', ...described, ...said, ...more, '', ''];
      return (await sendRaw(gate.adminPort, bytes.join('\r\n'))).answers[0];
    };
    const expected = scheme === undefined ? 400 : 200;
    t.equal((await proxy('Authorization: Bearer t'))?.status, expected, `proxy port: ${what}`);
    t.equal(gate.upstream.received[0]?.headers['x-forwarded-proto'], scheme, `the upstream is told: ${what}`);
    t.equal((await decisions('Authorization: Bearer t'))?.status, expected, `decisions: ${what}`);
    if (scheme === undefined) {
      t.equal((await proxy(...WEBSOCKET, 'Authorization: Bearer t'))?.status, 400, `handshake: ${what}`);
      continue;
    }
    for (const proven of ['http', 'https']) {
      const prove = async () => {
        const uri = `${proven}://gate.example/any`;
        const proof = await key.prove({ uri, token: 'bound', now: Date.now() / 1000 });
        return ['Authorization: DPoP bound', `DPoP: ${proof}`];
      };
      const right = proven === scheme ? 200 : 401;
      t.equal((await proxy(...(await prove())))?.status, right, `a proof for ${proven}, proxy port: ${what}`);
      t.equal((await decisions(...(await prove())))?.status, right, `decisions: ${what}`);
    }
  }
});

t.test('what an untrusted peer says of the scheme is nothing, not even an error', async (t) => {
  const gate = await startTestGateway(t, { rules: RULES, tokens: { t: {} } });
  for (const [lines] of SAID) {
    const said = lines.map((line) => `X-Forwarded-Proto: ${line}\r\n`).join('');
    const bytes = `GET /any HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer t\r\n${said}\r\n`;
    t.equal((await sendRaw(gate.port, bytes)).answers[0]?.status, 200);
    t.equal(gate.upstream.received.at(-1)?.headers['x-forwarded-proto'], 'http');
  }
});
