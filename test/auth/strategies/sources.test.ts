import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { formatFinding } from '../../../src/document/finding.js';
import { explain } from '../../../src/rules/explain.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask, type Question } from '../../ask.js';
import { apiRule, startTestGateway } from '../../gateway.js';
import { makeClientKey } from '../../proof.js';
import { options } from '../../rules/options.js';
import { ask as askStream, fields, startTlsGateway } from '../../streams.js';
import { open, parseAnswers } from '../../wire.js';

const strategy = (path: string, config: object, handler = 'oauth2_introspection') => ({
  path,
  methods: ['GET', 'POST'],
  accessStrategies: [{ handler, config }],
});

const SOURCES = [
  { header: 'Authorization' },
  { header: 'X-Token' },
  { header: 'X-Api', scheme: 'Key' },
  { query_parameter: 'token' },
  { cookie: 'session' },
  { form_parameter: 'token' },
];

const rules = apiRule('gate.example', [
  strategy('/all', { token_sources: SOURCES }),
  strategy('/scheme', { token_sources: [{ header: 'Authorization', scheme: 'Token' }] }),
  strategy('/kept', { token_sources: SOURCES.slice(0, 5), forward_token: false }),
  strategy('/bare', { forward_token: false }),
  strategy('/form', { token_sources: [{ form_parameter: 'token' }] }),
]);

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** Each place with a token in it: path, and what else of the question. */
const PLACES: readonly (readonly [query: string, question: Question])[] = [
  ['', { headers: { authorization: 'Bearer t' } }],
  ['', { headers: { 'x-token': 't' } }],
  ['', { headers: { 'x-api': 'key t' } }],
  ['?a=1&token=t', {}],
  ['', { headers: { cookie: 'a=b; session=t' } }],
  ['', { method: 'POST', headers: FORM, body: 'token=t' }],
];

t.test('a token may stand in any of the places, and in one of them only', async (t) => {
  const gate = await startTestGateway(t, { rules, tokens: { t: {} } });
  for (const [index, [query, question]] of PLACES.entries()) {
    t.equal((await ask(gate, `/all${query}`, question)).status, 200, `place ${index}`);
    for (const [other, [query2, question2]] of PLACES.entries()) {
      if (other <= index) continue;
      const both: Question = {
        ...question,
        ...question2,
        headers: { ...question.headers, ...question2.headers },
      };
      const reply = await ask(gate, `/all${query || query2}`, both);
      t.equal(reply.status, 400, `places ${index} and ${other}`);
      t.match(reply.reason, /more than one token|header and in the query/);
    }
  }
  t.equal((await ask(gate, '/all')).status, 401);
  t.equal((await ask(gate, '/all', { headers: { 'x-api': 'other t' } })).status, 401, 'another scheme');
  t.equal((await ask(gate, '/all', { headers: { 'x-api': 'Key' } })).status, 400, 'the scheme alone');
  t.equal((await ask(gate, '/all?access_token=t', { headers: { 'x-token': 't' } })).status, 400);
});

t.test('any scheme of Authorization', async (t) => {
  const gate = await startTestGateway(t, { rules, tokens: { t: {} } });
  const status = async (authorization: string) =>
    (await ask(gate, '/scheme', { headers: { authorization } })).status;
  t.equal(await status('Token t'), 200);
  t.equal(await status('token  t'), 200);
  t.equal(await status('Bearer t'), 401);
  t.equal(await status('Token "t"'), 400);
});

t.test('forward_token: false keeps the token, its proof and nothing else from the upstream', async (t) => {
  const key = await makeClientKey();
  const gate = await startTestGateway(t, {
    rules,
    tokens: { t: {}, b: { cnf: { jkt: key.jkt } } },
    settings: { proof: { dpop: { enabled: true } } },
  });
  for (const [query, question] of PLACES.slice(0, 5)) {
    t.equal((await ask(gate, `/kept${query}`, question)).status, 200);
    const got = gate.upstream.received.at(-1);
    t.notMatch(JSON.stringify(got?.rawHeaders), /[" =]t"/, 'no field with the token');
    t.equal(got?.url, query === '' ? '/kept' : '/kept?a=1');
  }
  t.equal(gate.upstream.received.at(-1)?.headers.cookie, 'a=b', 'other cookies stay');
  const dpop = await key.prove({ uri: 'http://gate.example/bare', token: 'b', now: Date.now() / 1000 });
  t.equal((await ask(gate, '/bare', { headers: { authorization: 'DPoP b', dpop, 'x-a': '1' } })).status, 200);
  const { headers } = gate.upstream.received.at(-1) ?? {};
  t.same([headers?.authorization, headers?.dpop, headers?.['x-a']], [undefined, undefined, '1']);
  t.equal((await ask(gate, '/all', { token: 't' })).status, 200);
  t.equal(gate.upstream.received.at(-1)?.headers.authorization, 'Bearer t', 'else it goes on as it came');
});

t.test('a form that was looked into reaches the upstream byte for byte, however it comes', async (t) => {
  const gate = await startTestGateway(t, { rules, tokens: { t: {} } });
  for (const size of [1, 2, 1_000, 16_000]) {
    const padding = randomBytes(size).toString('base64url').slice(0, size);
    const body = Buffer.from(`a=%00%&&=&token=t&p=${padding}`);
    for (const step of [body.length, Math.ceil(body.length / 2), Math.ceil(body.length / 7)]) {
      const socket = await open(gate.port);
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.setNoDelay(true);
      socket.write(
        `POST /form HTTP/1.1\r\nHost: gate.example\r\nContent-Type: ${FORM['content-type']}\r\n` +
          `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n`,
      );
      for (let at = 0; at < body.length; at += step) {
        await new Promise((resolve) => setImmediate(resolve));
        socket.write(body.subarray(at, at + step));
      }
      await new Promise((resolve) => socket.once('close', resolve));
      t.equal(parseAnswers(Buffer.concat(chunks))[0]?.status, 200, `${size} in steps of ${step}`);
      const got = gate.upstream.received.at(-1);
      t.ok(got?.body.equals(body), 'the very bytes');
      t.equal(got?.headers['content-length'], String(body.length));
    }
  }
  const before = gate.upstream.received.length;
  const cut = await open(gate.port);
  cut.write(
    `POST /form HTTP/1.1\r\nHost: gate.example\r\nContent-Type: ${FORM['content-type']}\r\nContent-Length: 20\r\n\r\ntoken=t`,
  );
  await new Promise((resolve) => setImmediate(resolve));
  cut.destroy();
  const two = await ask(gate, '/form', { method: 'POST', headers: FORM, body: 'token=t' });
  t.equal(two.status, 200);
  t.equal(gate.upstream.received.length, before + 1, 'a form that was cut goes nowhere');
});

t.test('over HTTP/2 as well', async (t) => {
  const gate = await startTlsGateway(t, { rules, tokens: { t: {} } });
  const session = await gate.session();
  const form = { ...FORM, ':method': 'POST', ':path': '/form', authorization: undefined };
  for (const size of [1, 1_000, 16_000]) {
    const body = Buffer.from(`token=t&p=${'x'.repeat(size)}`);
    const sent = fields({ ...form, 'content-length': String(body.length) });
    t.equal((await askStream(session, sent, body)).status, 200, `${size}`);
    t.ok(gate.upstream.received.at(-1)?.body.equals(body), 'the very bytes');
  }
  const without = Buffer.from('a=t');
  const refused = fields({ ...form, 'content-length': String(without.length) });
  t.equal((await askStream(session, refused, without)).status, 401);
  t.equal((await askStream(session, fields(form), without)).status, 401, 'of no declared length');
});

t.test('explain puts the token where the rule reads it', (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  writeFileSync(file, rules);
  const { table, findings } = loadRules([file], options);
  t.same(findings, []);
  for (const path of ['/all', '/scheme', '/kept', '/bare', '/form']) {
    const url = `https://gate.example${path}`;
    t.equal(table && explain(table, { method: 'POST', url, token: {} }).status, 200, path);
    t.equal(table && explain(table, { method: 'POST', url }).status, 401, path);
  }
  t.end();
});

t.test('places that cannot be are errors', (t) => {
  const file = join(t.testdir(), 'rules.yaml');
  for (const [config, expected] of [
    [
      { token_sources: [{ cookie: 'a' }], token_from: { cookie: 'b' } },
      /token_sources: token_sources and token_from/,
    ],
    [
      { token_sources: [{ cookie: 'a', header: 'b' }] },
      /token_sources\.0: must name exactly one of header, query_parameter, cookie and form_parameter/,
    ],
    [
      { token_sources: [{ cookie: 'a' }, { cookie: 'A' }] },
      /token_sources\.1: names the same place as an earlier entry; remove it/,
    ],
    [{ token_sources: [{ scheme: 'a' }] }, /token_sources\.0/],
    [{ token_sources: [] }, /token_sources must not be empty/],
    [{ token_sources: [{ header: 'a b' }] }, /token_sources\.0\.header must be the name of a header field/],
    [
      { token_sources: [{ form_parameter: 'a' }], forward_token: false },
      /forward_token: scopegate cannot remove a token from a form/,
    ],
  ] as const) {
    writeFileSync(file, apiRule('gate.example', [strategy('/x', config)]));
    t.match(loadRules([file], options).findings.map(formatFinding), [expected]);
    const jwt = { jwks_urls: ['https://as.example/jwks'], ...config };
    writeFileSync(file, apiRule('gate.example', [strategy('/x', jwt, 'jwt')]));
    t.match(loadRules([file], options).findings.map(formatFinding), [expected], 'jwt');
  }
  t.end();
});
