import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway } from '../gateway.js';
import { settingsFor } from '../settings.js';
import { type Certificate, makeCertificate } from '../stack/certificate.js';

const [serverOne, serverTwo, clientOne, clientTwo] = (await Promise.all([
  makeCertificate(['127.0.0.1', 'one']),
  makeCertificate(['127.0.0.1', 'two']),
  makeCertificate(['client-one']),
  makeCertificate(['client-two']),
])) as [Certificate, Certificate, Certificate, Certificate];

/** An upstream that lets in whom an authority vouches for, and says whom it sees: over HTTP and WebSocket. */
async function startUpstream(t: Test, { cert, key }: Certificate, clients: string): Promise<string> {
  const nameOf = (socket: unknown) => String((socket as TLSSocket).getPeerCertificate().subject?.CN);
  const server = createServer(
    { cert, key, ca: clients, requestCert: true, rejectUnauthorized: true },
    (message, response) => {
      // The next request has a connection and a handshake of its own.
      response.writeHead(200, { connection: 'close' }).end(nameOf(message.socket));
    },
  );
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket, message) => socket.send(nameOf(message.socket)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const RULES = apiRule('gate.example', [
  rule('/one', ['GET'], 'read'),
  rule('/two', ['GET'], 'read', { service: { name: 'two', port: 443 } }),
]);

t.test('each upstream has its own authorities and is shown its own certificate', async (t) => {
  const folder = t.testdir({
    'one.ca': serverOne.ca,
    'two.ca': serverTwo.ca,
    'one.crt': clientOne.cert,
    'one.key': clientOne.key,
    'two.crt': clientTwo.cert,
    'two.key': clientTwo.key,
  });
  const file = (name: string) => join(folder, name);
  const clients = `${clientOne.ca}\n${clientTwo.ca}`;
  const one = await startUpstream(t, serverOne, clients);
  const two = await startUpstream(t, serverTwo, clients);
  const start = (upstreams: object[], general: object = {}) =>
    startTestGateway(t, {
      rules: RULES,
      settings: {
        services: { default: one, two },
        forward: {
          tls: { ca: file('one.ca'), cert: file('one.crt'), key: file('one.key'), ...general, upstreams },
        },
      },
    });
  const own = { origin: two, ca: file('two.ca'), cert: file('two.crt'), key: file('two.key') };
  const gate = await start([own]);
  const seen = async (path: string) => {
    const { status, text } = await ask(gate, path, { token: 'good-read' });
    return status === 200 ? text : status;
  };
  const told = async (path: string) => {
    const socket = new WebSocket(`ws://127.0.0.1:${gate.port}${path}`, {
      headers: { host: 'gate.example', authorization: 'Bearer good-read' },
    });
    const [message] = (await once(socket, 'message')) as [Buffer];
    socket.terminate();
    return message.toString();
  };
  t.same([await seen('/one'), await seen('/two')], ['client-one', 'client-two']);
  t.same([await told('/one'), await told('/two')], ['client-one', 'client-two'], 'WebSockets, too');

  writeFileSync(file('two.crt'), clientOne.cert);
  writeFileSync(file('two.key'), clientOne.key);
  t.equal(await seen('/two'), 'client-one', 'a renewed certificate counts for new connections');
  t.equal(await told('/two'), 'client-one');
  writeFileSync(file('two.ca'), serverOne.ca);
  t.equal(await seen('/two'), 502, 'and so does another authority');

  const lax = await start([{ origin: two, insecureSkipVerify: true }]);
  t.equal((await ask(lax, '/two', { token: 'good-read' })).text, 'client-one', 'the rest is as for all');
  t.match(
    lax.log.filter(({ level }) => level === 40),
    [{ setting: 'forward.tls.upstreams.0.insecureSkipVerify', msg: /^insecure/ }],
    'what is not verified is told of at the start',
  );
  const laxer = await start([{ ...own, insecureSkipVerify: false }], { insecureSkipVerify: true });
  t.match(laxer.log, [{ setting: 'forward.tls.insecureSkipVerify', level: 40 }]);
  t.equal((await ask(laxer, '/one', { token: 'good-read' })).text, 'client-one');
  t.equal(
    (await ask(laxer, '/two', { token: 'good-read' })).status,
    502,
    'one of them can be verified still',
  );
});

t.test('settings that cannot work are refused where they stand', (t) => {
  const folder = t.testdir({ 'a.crt': clientOne.cert, 'a.key': clientOne.key, 'b.key': clientTwo.key });
  const file = (name: string) => join(folder, name);
  const problem = (tls: object) => {
    try {
      settingsFor(['r'], { forward: { tls } });
      return 'none';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const origin = 'https://a:443';
  const of = (...upstreams: object[]) => problem({ upstreams });
  t.match(problem({ cert: file('a.crt') }), /missing-field forward\.tls must have the field "key"/);
  t.match(of({ origin, key: file('a.key') }), /forward\.tls\.upstreams\.0 must have the field "cert"/);
  t.match(
    of({ origin, cert: file('a.crt'), key: file('b.key') }),
    /upstreams\.0: cert, key or ca does not contain what it should/,
  );
  for (const wrong of ['http://a', 'https://a/path', 'a', 'https://u@a', 'https://a?b']) {
    t.match(of({ origin: wrong }), /upstreams\.0\.origin must be an https origin/, wrong);
  }
  t.match(of({ origin }, { origin: 'https://A' }), /upstreams\.1\.origin is given twice/);
  t.match(of({ origin, caa: 'x' }), /unknown-field/);
  t.equal(of({ origin, cert: file('a.crt'), key: file('a.key') }), 'none');
  t.end();
});
