import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { ask } from '../ask.js';
import { startChild } from '../child.js';
import { apiRule, rule } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { startUpstream } from '../upstream.js';
import { vectors } from '../vectors.js';
import { sendRaw } from '../wire.js';

/** In every secret of this test: tokens, client credentials, keys in URLs, values of queries, cookies and fields. */
const MARK = 'MaRk';

/** The vectors' tokens, each with one of its own length in its place, so that lengths that were declared stay true. */
const TOKENS = {
  'good-read': { token: `${MARK}-read`, scope: 'read' },
  'good-write': { token: `${MARK}.write`, scope: 'write' },
  'good-admin': { token: `${MARK}.admin`, scope: 'admin' },
};

const RULES = apiRule('gate.example', [
  rule('/.*', ['GET'], 'read'),
  rule('/post', ['POST'], 'write'),
  rule('/admin(/.*)?', ['GET'], 'admin'),
  {
    path: '/query',
    methods: ['GET'],
    accessStrategies: [
      { handler: 'oauth2_introspection', config: { token_from: { query_parameter: 'key' } } },
    ],
  },
  {
    path: '/cookie',
    methods: ['GET'],
    accessStrategies: [{ handler: 'oauth2_introspection', config: { token_from: { cookie: 'session' } } }],
  },
]);

interface Case {
  readonly raw_b64: string;
}

/** Throws where nobody catches, when the process is told to, quoting a secret as libraries do. */
const CRASH = `process.on('SIGUSR2',()=>{throw new Error('${MARK}')})`;

t.test('no token, secret or query value in anything that a run of the whole corpus says', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const secretFile = join(folder, 'secret');
  const crash = join(folder, 'crash.mjs');
  writeFileSync(crash, CRASH);
  writeFileSync(secretFile, `${MARK}-client-secret\n`);
  const endpoint = await startIntrospection(
    Object.fromEntries(Object.values(TOKENS).map(({ token, scope }) => [token, { scope, sub: 'alice' }])),
  );
  const upstream = await startUpstream((_message, response) => void response.writeHead(200).end('fine'));
  t.teardown(() => Promise.all([endpoint.close(), upstream.close()]));
  const child = await startChild(
    t,
    {
      services: { default: upstream.url },
      introspection: {
        url: `${endpoint.url}?key=${MARK}-url`,
        headers: { 'x-key': `${MARK}-header` },
        clientAuth: { method: 'basic', clientId: 'gateway', clientSecretFile: secretFile },
        timeout: '300ms',
        breaker: { failures: 0 },
      },
      matching: { overlap: 'specific' },
      server: { headersTimeout: '1s' },
      log: { level: 'trace' },
    },
    RULES,
    { NODE_OPTIONS: `--import=${crash}` },
  );
  const said: string[] = [];

  // The corpus of raw requests, with marked tokens.
  const { cases } = vectors<{ cases: Case[] }>('raw-requests');
  const raws = cases.map(({ raw_b64 }) => {
    let text = Buffer.from(raw_b64, 'base64').toString('latin1');
    for (const [name, { token }] of Object.entries(TOKENS)) text = text.replaceAll(name, token);
    return Buffer.from(text, 'latin1');
  });
  let next = 0;
  const sendAll = async (): Promise<void> => {
    while (next < raws.length) {
      const { raw } = await sendRaw(child.port, raws[next++] as Buffer, { timeout: 200, end: true });
      said.push(raw.toString('latin1'));
    }
  };
  await Promise.all(Array.from({ length: 16 }, sendAll));
  t.ok(upstream.received.length > 0 && endpoint.asked.length > 0, 'some were let through');

  // Tokens that are malformed, unknown, doubled, or in other places.
  const hostile = [
    `"${MARK}"`,
    `${MARK} ${MARK}`,
    `${MARK},${MARK}`,
    `${MARK}%`,
    MARK.repeat(2000),
    `=${MARK}`,
  ];
  const secret = {
    cookie: `session=${MARK}; other=${MARK}`,
    'x-secret': MARK,
    'user-agent': MARK,
    referer: MARK,
  };
  const known = TOKENS['good-read'].token;
  for (const [path, headers] of [
    ...hostile.map((token) => [`/x?q=${MARK}`, { authorization: `Bearer ${token}` }] as const),
    [`/x?access_token=${MARK}`, { authorization: `Bearer ${known}` }],
    [`/x?access_token=${MARK}`, {}],
    [`/x?q=${MARK}`, { authorization: `Basic ${MARK}` }],
    [`/x?q=${MARK}`, { authorization: `${MARK} ${MARK}` }],
    [`/x?q=${MARK}`, { authorization: `Bearer ${known}` }],
    [`/post?q=${MARK}`, { authorization: `Bearer ${known}` }],
    [`/admin?q=${MARK}`, { authorization: `Bearer ${known}` }],
    [`/query?key=${known}`, {}],
    [`/query?key=${MARK}&key=${MARK}`, {}],
    [`/cookie?q=${MARK}`, secret],
  ] as const) {
    const reply = await ask(child, path, { headers: { ...secret, ...headers } });
    said.push(JSON.stringify([reply.headers, reply.text]));
  }

  // An authorization server that quotes what it was sent, in every way it can fail.
  type Fault = (message: IncomingMessage, response: ServerResponse) => void;
  const answer =
    (
      status: number,
      text: string,
      headers: Record<string, string> = { 'content-type': 'application/json' },
    ): Fault =>
    (_message, response) =>
      void response.writeHead(status, headers).end(text);
  const faults: Fault[] = [
    answer(200, `{"active":true,"scope":"${MARK}`),
    answer(200, `${MARK}`),
    answer(200, `{"active":"${MARK}"}`),
    answer(200, `{"active":true,"exp":"${MARK}"}`),
    answer(200, `{"active":true,"sub":["${MARK}"]}`),
    answer(200, `<${MARK}>`, { 'content-type': `text/html; ${MARK}` }),
    answer(200, MARK, { 'content-type': 'application/json', 'content-encoding': MARK }),
    answer(401, `{"error":"invalid_client","error_description":"${MARK}"}`),
    answer(500, MARK, { 'x-error': MARK }),
    answer(302, MARK, { location: `http://127.0.0.1:9/${MARK}` }),
    answer(429, MARK, { 'retry-after': MARK }),
    (message) => (message.socket as Socket).resetAndDestroy(),
    (message) => void message.socket.end(`${MARK} ${MARK}\r\n\r\n`),
    () => {},
  ];
  for (const [i, fault] of faults.entries()) {
    endpoint.fault = fault;
    const reply = await ask(child, `/x?q=${MARK}`, { token: `${MARK}.fault.${i}`, headers: secret });
    t.equal(reply.status, 503, `fault ${i}`);
    said.push(JSON.stringify([reply.headers, reply.text]));
  }
  endpoint.fault = undefined;

  // An upstream that quotes what it was sent in an answer that is none.
  upstream.server.removeAllListeners('request');
  upstream.server.on('request', ({ socket }) => socket.end(`HTTP/1.1 ${MARK}\r\n\r\n`));
  const broken = await ask(child, `/x?q=${MARK}`, { token: known, headers: secret });
  t.equal(broken.status, 502);
  said.push(JSON.stringify([broken.headers, broken.text]));

  // And a crash.
  child.process.kill('SIGUSR2');
  t.equal(await child.ended, 1, 'an uncaught error ends it, with an exit code that says so');
  const output = child.output();
  t.match(output, /"msg":"uncaught error"/);
  t.match(output, /"msg":"introspection failed"/);
  t.ok(output.split('\n').length > cases.length, 'the log was written');
  for (const [what, text] of [
    ['the output', output],
    ['the answers', said.join('\n')],
  ] as const) {
    const at = text.indexOf(MARK);
    t.equal(at, -1, `${what}: ${at === -1 ? '' : text.slice(Math.max(0, at - 200), at + 60)}`);
    for (const secret of Object.values(TOKENS)) {
      t.notOk(text.includes(Buffer.from(secret.token).toString('base64')), 'nor in Base64');
    }
    t.notOk(text.includes(Buffer.from(`gateway:${MARK}-client-secret`).toString('base64')));
  }
});
