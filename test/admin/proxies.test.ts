import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ask } from '../ask.js';
import { pages } from '../docs/page.js';
import { apiRule, rule, startTestGateway, type TestGateway } from '../gateway.js';
import { available, type Requirement } from '../require.js';
import { freePort } from '../stack/port.js';
import { vectors } from '../vectors.js';
import { sendRaw } from '../wire.js';

// Each proxy runs with the configuration that its page in docs/ shows, on ports of the test's own.

/** What a page's block becomes on this machine. */
interface Place {
  readonly folder: string;
  readonly port: number;
  readonly gate: TestGateway;
}

interface Proxy {
  readonly requirement: Requirement;
  /** Writes what the proxy needs and says how it is started. */
  readonly command: (place: Place) => [program: string, ...parameters: string[]];
}

const shownBlocks = pages()
  .filter(({ path }) => path.startsWith('docs/forward-auth-'))
  .flatMap(({ blocks }) => blocks);

/** The pages' one block of a language, with this machine's addresses. */
function shown(language: string, { port, gate }: Place): string {
  const [block, ...more] = shownBlocks.filter((each) => each.language === language);
  if (block === undefined || more.length > 0) throw new Error(`the pages must show one block of ${language}`);
  return block.text
    .replaceAll('http://:8080', `http://:${port}`)
    .replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`)
    .replaceAll('127.0.0.1:4456', `127.0.0.1:${gate.adminPort}`)
    .replaceAll('127.0.0.1:8000', `127.0.0.1:${gate.upstream.port}`);
}

const PROXIES: Readonly<Record<string, Proxy>> = {
  nginx: {
    requirement: 'nginx',
    command(place) {
      const { folder } = place;
      const config = `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1;
        ${process.getuid?.() === 0 ? 'user root;' : ''}
        events { worker_connections 128; }
        http {
          access_log off; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
          fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
          ${shown('nginx', place)}
        }`;
      writeFileSync(join(folder, 'nginx.conf'), config);
      return ['nginx', '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')];
    },
  },
  Caddy: {
    requirement: 'caddy',
    command(place) {
      const file = join(place.folder, 'Caddyfile');
      writeFileSync(file, `{\n\tadmin off\n}\n${shown('caddyfile', place)}\n`);
      return ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'];
    },
  },
  HAProxy: {
    requirement: 'haproxy',
    command(place) {
      const file = join(place.folder, 'haproxy.cfg');
      writeFileSync(file, `${shown('haproxy', place)}\n`);
      writeFileSync(join(place.folder, 'scopegate.lua'), `${shown('lua', place)}\n`);
      return ['haproxy', '-db', '-f', file];
    },
  },
};

const RULES = apiRule('gate.example', [
  rule('/.*', ['GET'], 'read'),
  rule('/post', ['POST'], 'write'),
  { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
]);

for (const [name, proxy] of Object.entries(PROXIES)) {
  t.test(`forward-auth through a real ${name}`, async (t) => {
    if (!available(t, proxy.requirement)) return;
    const gate = await startTestGateway(t, { rules: RULES });
    const url = await startProxy(t, proxy, gate);
    const via = { url };
    const received = () => gate.upstream.received.at(-1);

    const table: [says: string, path: string, question: Parameters<typeof ask>[2], status: number][] = [
      ['GET with the scope "read"', '/headers', { token: 'good-read' }, 200],
      [
        'POST with the scope "write"',
        '/post',
        { method: 'POST', token: 'good-write', body: 'test data' },
        200,
      ],
      ['no token', '/headers', {}, 401],
      ['a token that is not active', '/headers', { token: 'unknown' }, 401],
      ['a GET needs "read"', '/headers', { token: 'good-write' }, 403],
      ['a POST needs "write"', '/post', { method: 'POST', token: 'good-read', body: 'x' }, 403],
      ['no rule for the method', '/headers', { method: 'POST', token: 'good-write', body: 'x' }, 404],
      ['no rule for the host', '/headers', { host: 'other.example', token: 'good-read' }, 404],
      ['an escaped slash', '/a%2Fb', { token: 'good-read' }, 400],
    ];
    for (const [says, path, question, status] of table) {
      const before = gate.upstream.received.length;
      const answer = await ask(via, path, question);
      t.equal(answer.status, status, says);
      t.equal(gate.upstream.received.length - before, status === 200 ? 1 : 0, `${says}: forwarded or not`);
      if (status === 401) t.match(answer.headers['www-authenticate'], /^Bearer realm="scopegate"/, says);
      if (status === 403) t.match(answer.headers['www-authenticate'], /error="insufficient_scope"/, says);
    }
    t.equal(gate.log.filter(({ entrance }) => entrance === 'proxy').length, 0, 'the proxy forwards itself');

    const posted = await ask(via, '/post?a=b%20c', {
      method: 'POST',
      token: 'good-write',
      body: 'test data',
    });
    t.equal(posted.status, 200, posted.text);
    t.equal(received()?.body.toString(), 'test data', 'the body reaches the upstream');
    t.equal(received()?.url, '/post?a=b%20c');

    t.comment('identity is told, and cannot be claimed');
    const forged = { 'x-user': 'root', 'x-scope': 'admin', 'x-client-id': 'c-root' };
    await ask(via, '/headers', { token: 'good-read', headers: forged });
    t.match(received()?.headers, { 'x-user': 'reader', 'x-scope': 'read', 'x-client-id': 'c-read' });
    await ask(via, '/open', { headers: forged });
    t.equal(received()?.url, '/open');
    for (const field of Object.keys(forged))
      t.equal(received()?.headers[field] ?? '', '', `${field} of a client`);

    t.comment('a client cannot describe another request than its own');
    for (const headers of [
      { 'x-forwarded-uri': '/open', 'x-forwarded-method': 'GET', 'x-forwarded-host': 'gate.example' },
      { 'x-original-uri': '/open', 'x-original-method': 'GET' },
      { 'x-original-url': 'http://gate.example/open', 'x-original-host': 'gate.example' },
      { 'x-forwarded-method': 'GET' },
    ]) {
      const before = gate.upstream.received.length;
      const { status } = await ask(via, '/headers', { headers });
      t.ok(status === 401 || status === 400, `${Object.keys(headers).join(', ')}: ${status}`);
      const post = await ask(via, '/post', { method: 'POST', body: 'x', token: 'good-read', headers });
      t.ok(post.status === 403 || post.status === 400, `${Object.keys(headers).join(', ')}: ${post.status}`);
      t.equal(gate.upstream.received.length, before);
    }

    t.comment('more than one token');
    const twice = `GET /headers HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\nAuthorization: Bearer good-admin\r\nConnection: close\r\n\r\n`;
    const { answers } = await sendRaw(Number(new URL(url).port), twice);
    t.not(answers[0]?.status, 200);

    t.comment('the authorization server is down');
    gate.endpoint.fault = (_message, response) => response.writeHead(500).end();
    const unknown = await ask(via, '/headers', { token: 'fresh' });
    t.equal(unknown.status, 503);
    t.match(unknown.headers['retry-after'], /^\d+$/, 'the client learns when to try again');

    t.comment('the gateway is gone');
    await gate.gateway.close();
    const before = gate.upstream.received.length;
    t.ok((await ask(via, '/headers', { token: 'good-read' })).status >= 500);
    t.equal(gate.upstream.received.length, before, 'nothing is forwarded');
  });
}

for (const [name, proxy] of Object.entries(PROXIES)) {
  t.test(`a real ${name} gives its client every kind of refusal`, async (t) => {
    if (!available(t, proxy.requirement)) return;
    const login = { handler: 'redirect', config: { to: 'https://login.example/' } };
    const gate = await startTestGateway(t, {
      rules: apiRule('gate.example', [
        rule('/page', ['GET'], 'read', { scopegate: { errors: [login] } }),
        rule('/.*', ['GET'], 'read'),
      ]),
      settings: { forward: { maxTargetBytes: 1000 }, introspection: { flood: { badTokens: 1, per: '1h' } } },
    });
    const via = { url: await startProxy(t, proxy, gate) };

    const redirected = await ask(via, '/page', {});
    t.equal(redirected.status, 302);
    t.equal(redirected.headers.location, 'https://login.example/');
    t.equal((await ask(via, `/${'a'.repeat(1200)}`, { token: 'good-read' })).status, 414);
    t.equal((await ask(via, '/headers', { token: 'guess-1' })).status, 401);
    const flooded = await ask(via, '/headers', { token: 'guess-2' });
    t.equal(flooded.status, 429);
    t.match(flooded.headers['retry-after'], /^\d+$/);
    const claimed = { 'x-forwarded-for': '203.0.113.9' };
    const again = await ask(via, '/headers', { token: 'guess-3', headers: claimed });
    t.equal(again.status, 429, 'a client cannot count as another one');
    t.equal(gate.upstream.received.length, 0, 'nothing is forwarded');
  });
}

/** Serves by the raw path, as Express does: what begins with `/admin` is the administrators'. */
function rawRouter(message: IncomingMessage, response: ServerResponse): void {
  const path = (message.url ?? '').replace(/[?].*/, '');
  response.setHeader('x-handler', /^\/admin(?:\/|$)/.test(path) ? 'admin' : 'open');
  response.end();
}

for (const [name, proxy] of Object.entries(PROXIES)) {
  t.test(`no path reaches an admin route through a real ${name}`, async (t) => {
    if (!available(t, proxy.requirement)) return;
    const gate = await startTestGateway(t, {
      rules: apiRule('gate.example', [
        { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'noop' }] },
        rule('/admin(/.*)?', ['GET'], 'admin'),
      ]),
      respond: rawRouter,
    });
    const url = await startProxy(t, proxy, gate);
    const port = Number(new URL(url).port);
    const { cases } = vectors<{ cases: { target_b64: string }[] }>('paths');
    const targets = cases.map(({ target_b64 }) => Buffer.from(target_b64, 'base64').toString('latin1'));
    const known = [
      '/admin/../pub/x',
      '/admin/%2e%2e/pub/x',
      '/admin/./../pub/x',
      '//admin/../pub/x',
      '/pub/x',
    ];
    let served = 0;
    for (const target of [...known, ...targets.filter((each) => !/[\r\n\0 ]/.test(each))]) {
      const { answers } = await sendRaw(
        port,
        Buffer.from(`GET ${target} HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n`, 'latin1'),
      );
      const handler = answers[0]?.headers.get('x-handler')?.[0];
      if (handler !== undefined) served++;
      t.not(handler, 'admin', target);
    }
    t.ok(served > 10, `${served} paths are served by the open route`);
  });
}

async function startProxy(t: Test, proxy: Proxy, gate: TestGateway): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-proxy-'));
  const port = await freePort();
  const [program, ...parameters] = proxy.command({ folder, port, gate });
  const child = spawn(program, parameters, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: [process.env.PATH, '/usr/sbin', '/usr/local/sbin'].join(delimiter),
      HOME: folder,
      XDG_DATA_HOME: folder,
      XDG_CONFIG_HOME: folder,
    },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += String(chunk);
    });
  }
  t.teardown(async () => {
    await end(child);
    rmSync(folder, { recursive: true });
  });
  for (let tries = 0; !(await accepts(port)); tries++) {
    if (tries > 200 || child.exitCode !== null) throw new Error(`${program} does not listen: ${output}`);
    await wait(50);
  }
  return `http://127.0.0.1:${port}`;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 2_000);
  await ended;
  clearTimeout(timer);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
