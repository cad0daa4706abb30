import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { challenge, denial, ERRORS, type ErrorName } from '../../src/model/errors.js';
import { ask } from '../ask.js';
import { apiRule, startTestGateway, type TestGateway } from '../gateway.js';
import { root } from '../root.js';
import { sendRaw } from '../wire.js';
import { prove } from './statements.js';

/** A rule with one access strategy. */
const guarded = (path: string, config: object): object => ({
  path,
  methods: ['GET', 'POST', 'DELETE'],
  accessStrategies: [{ handler: 'oauth2_introspection', config }],
});

const RULES = apiRule('gate.example', [
  guarded('/read', { required_scope: ['read'] }),
  guarded('/both', { required_scope: ['read', 'write'] }),
  guarded('/any', {}),
  guarded('/form', { token_sources: [{ form_parameter: 'access_token' }] }),
  guarded('/query', { required_scope: ['read'], token_from: { query_parameter: 'access_token' } }),
]);

const start = (t: Test, tokens: Readonly<Record<string, object>> = {}): Promise<TestGateway> =>
  startTestGateway(t, {
    rules: RULES,
    tokens: { t: { scope: 'read' }, none: {}, ...(tokens as Record<string, Record<string, unknown>>) },
    settings: { realm: 'the realm' },
  });

const authorized = (gate: TestGateway, authorization: string, path = '/read') =>
  ask(gate, path, { headers: { authorization } });

t.test('RFC 6750', async (t) => {
  await prove(t, ['R6750-'], {
    'R6750-01': async (t) => {
      const gate = await start(t);
      t.equal((await authorized(gate, 'Bearer t')).status, 200);
      t.equal(gate.upstream.received.length, 1);
    },

    'R6750-02': async (t) => {
      const gate = await start(t);
      for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
        t.equal((await authorized(gate, `${scheme} t`)).status, 200, scheme);
        t.equal((await authorized(gate, `${scheme} unknown`)).status, 401, scheme);
      }
    },

    'R6750-03': async (t) => {
      const gate = await start(t);
      const bad = [
        '"t"',
        "'t'",
        't,u',
        't u',
        't&token=u',
        '%74',
        '=t',
        't=u',
        'a==b',
        't;u',
        't\tu',
        '{t}',
        't\x80',
        'ü',
      ];
      for (const token of bad) {
        const head = `GET /read HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer ${token}\r\n\r\n`;
        const { answers } = await sendRaw(gate.port, Buffer.from(head, 'latin1'));
        t.equal(answers[0]?.status, 400, token);
        t.match(answers[0]?.headers.get('www-authenticate'), [/error="invalid_request"/]);
      }
      t.equal((await authorized(gate, 'Bearer')).status, 400, 'the scheme alone');
      t.equal((await authorized(gate, `Bearer ${'a'.repeat(4097)}`)).status, 400, 'longer than any token');
      t.equal(gate.endpoint.asked.length, 0, 'nobody was asked');
      t.equal(gate.upstream.received.length, 0);
    },

    'R6750-04': async (t) => {
      const tokens = ['a=', 'a==', 'a+b/c~d.e-f_g', '+', '/', '~', '0', 'a'.repeat(4096)];
      const gate = await start(t, Object.fromEntries(tokens.map((token) => [token, { scope: 'read' }])));
      for (const token of tokens) t.equal((await authorized(gate, `Bearer ${token}`)).status, 200, token);
      t.same(gate.endpoint.asked, tokens, 'sent unchanged, as the form’s decoder sees it');
      t.equal(gate.endpoint.requests[2]?.body, 'token=a%2Bb%2Fc%7Ed.e-f_g', 'form-encoded');
    },

    'R6750-05': async (t) => {
      const gate = await start(t);
      for (const path of [
        '/read?access_token=t',
        '/read?a=1&access_token=u',
        '/read?%61ccess_token=t',
        '/query?access_token=t',
      ]) {
        const reply = await authorized(gate, 'Bearer t', path);
        t.equal(reply.status, 400, path);
        t.match(reply.headers['www-authenticate'], /error="invalid_request"/, path);
      }
      t.equal(gate.endpoint.asked.length, 0);
    },

    'R6750-06': async (t) => {
      const gate = await start(t);
      for (const second of [
        'Authorization: Bearer t',
        'authorization: Bearer u',
        'AUTHORIZATION: Basic dTpw',
      ]) {
        const head = `GET /read HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer t\r\n${second}\r\n\r\n`;
        const { answers } = await sendRaw(gate.port, head);
        t.equal(answers[0]?.status, 400, second);
      }
      t.equal(gate.endpoint.asked.length, 0);
      t.equal(gate.upstream.received.length, 0);
    },

    'R6750-07': async (t) => {
      const gate = await start(t);
      const form = { 'content-type': 'application/x-www-form-urlencoded' };
      const post = (
        path: string,
        headers: Record<string, string>,
        body = 'access_token=t',
        method = 'POST',
      ) => ask(gate, path, { method: method as 'POST', headers, body });
      const off = await post('/any', form);
      t.equal(off.status, 401, 'off unless a rule asks for it');
      t.notMatch(off.headers['www-authenticate'], /error=/, 'no credential at all');
      for (const type of [
        'application/x-www-form-urlencoded',
        'Application/X-WWW-Form-Urlencoded; charset=UTF-8',
      ]) {
        t.equal((await post('/form', { 'content-type': type })).status, 200, type);
        t.equal(String(gate.upstream.received.at(-1)?.body), 'access_token=t', 'byte for byte');
      }
      t.equal((await post('/form', form, 'a=1&%61ccess_token=t&b=%20+')).status, 200);
      t.equal((await post('/form', form, 'access_token=t&access_token=t')).status, 400, 'twice');
      t.equal((await post('/form', form, 'access_token=')).status, 400, 'none');
      t.equal((await post('/form', { ...form, authorization: 'Bearer t' })).status, 400, 'two methods');
      t.equal((await post('/form?access_token=t', form)).status, 400, 'two methods');
      const asked = gate.endpoint.asked.length;
      for (const [headers, body, method] of [
        [{ 'content-type': 'multipart/form-data; boundary=x' }],
        [{ 'content-type': 'text/plain' }],
        [{ 'content-type': 'application/x-www-form-urlencoded; boundary=x' }],
        [{ 'content-type': 'application/x-www-form-urlencoded, text/plain' }],
        [{}],
        [{ ...form, 'content-encoding': 'gzip' }],
        [form, 'access_token=t&a=\u00fc'],
        [form, `access_token=t&a=${'x'.repeat(16_384)}`],
        [form, 'access_token=t', 'GET'],
        [form, 'access_token=t', 'DELETE'],
      ] as [Record<string, string>, string?, string?][]) {
        const reply = await post('/form', headers, body, method);
        t.equal(reply.status, 401, JSON.stringify([headers, method]));
        t.notMatch(reply.headers['www-authenticate'], /error=/);
      }
      t.equal(gate.endpoint.asked.length, asked, 'nobody was asked');
    },

    'R6750-08': async (t) => {
      const gate = await start(t);
      const reply = await ask(gate, '/read?access_token=t');
      t.equal(reply.status, 401);
      t.notMatch(reply.headers['www-authenticate'], /error/);
      t.equal(gate.endpoint.asked.length, 0);
    },

    'R6750-09': async (t) => {
      const gate = await start(t, { SECRET: { scope: 'read' } });
      for (const [query, forwarded] of [
        ['?access_token=SECRET', '/query'],
        ['?a=1&access_token=SECRET&b=%20+', '/query?a=1&b=%20+'],
        ['?access_token=SECRET&a', '/query?a'],
        ['?a=b=c&%61ccess%5Ftoken=SECRET', '/query?a=b=c'],
        ['?&access_token=SECRET&', '/query?&'],
      ] as const) {
        const reply = await ask(gate, `/query${query}`);
        t.equal(reply.status, 200, query);
        t.equal(reply.headers['cache-control'], 'private', query);
        t.equal(gate.upstream.received.at(-1)?.url, forwarded, query);
      }
      t.notMatch(JSON.stringify(gate.log), /SECRET/);
    },

    'R6750-10': async (t) => {
      const gate = await start(t);
      const reply = await ask(gate, '/read');
      t.equal(reply.status, 401);
      t.match(reply.headers['www-authenticate'], /^Bearer /);
    },

    'R6750-11': async (t) => {
      const gate = await start(t);
      for (const authorization of ['', 'Basic dTpw', 'Token t', 'Digest x', 'Bearers t', 'Bear t', '']) {
        const reply = await ask(gate, '/read', authorization === '' ? {} : { headers: { authorization } });
        t.equal(reply.status, 401, authorization);
        t.equal(reply.headers['www-authenticate'], 'Bearer realm="the realm", scope="read"', authorization);
      }
      t.equal(gate.endpoint.asked.length, 0);
    },

    'R6750-12': async (t) => {
      const gate = await start(t);
      for (const authorization of ['Basic x', 'Bearer unknown', 'Bearer none', 'Bearer "']) {
        const reply = await authorized(gate, authorization);
        t.equal(reply.headers['www-authenticate']?.match(/realm="the realm"/g)?.length, 1, authorization);
      }
    },

    'R6750-13': async (t) => {
      const gate = await start(t);
      const scopes = (header: string | undefined) => header?.match(/scope="[^"]*"/g);
      t.same(
        scopes((await ask(gate, '/both')).headers['www-authenticate']),
        ['scope="read write"'],
        '401, no token',
      );
      t.same(
        scopes((await authorized(gate, 'Bearer t', '/both')).headers['www-authenticate']),
        ['scope="read write"'],
        '403',
      );
      t.equal(
        scopes((await ask(gate, '/any')).headers['www-authenticate']) ?? undefined,
        undefined,
        'none needed, none named',
      );
    },

    'R6750-14': async () => {
      const hostile = fc.string({
        unit: fc.oneof(
          fc.constantFrom('"', '\\', '\r', '\n', '\t', '\x7f', 'é', ' '),
          fc.string({ minLength: 1, maxLength: 1 }),
        ),
      });
      fc.assert(
        fc.property(
          hostile,
          hostile,
          fc.array(hostile),
          fc.constantFrom(...(Object.keys(ERRORS) as ErrorName[])),
          (realm, reason, scopes, name) => {
            const value = challenge(denial(name, reason, { scopes }), realm);
            return value === undefined || WELL_FORMED.test(value);
          },
        ),
      );
    },

    'R6750-15': async (t) => {
      const past = Math.floor(Date.now() / 1000) - 10;
      const gate = await start(t, { expired: { scope: 'read', exp: past } });
      for (const token of ['unknown', 'expired']) {
        const reply = await authorized(gate, `Bearer ${token}`);
        t.equal(reply.status, 401, token);
        t.match(reply.headers['www-authenticate'], /error="invalid_token", error_description="[^"]+"/);
      }
    },

    'R6750-16': async (t) => {
      const gate = await start(t);
      const reply = await authorized(gate, 'Bearer t', '/both');
      t.equal(reply.status, 403);
      t.match(reply.headers['www-authenticate'], /error="insufficient_scope".*scope="read write"/);
      t.equal(gate.upstream.received.length, 0);
    },

    'R6750-17': async (t) => {
      const gate = await start(t);
      for (const path of [
        '/query?access_token=t&access_token=t',
        '/query?access_token=',
        '/query?access_token=a%20b',
      ]) {
        const reply = await ask(gate, path);
        t.equal(reply.status, 400, path);
        t.match(reply.headers['www-authenticate'], /error="invalid_request"/, path);
      }
      t.equal(gate.endpoint.asked.length, 0);
    },

    'R6750-18': async (t) => {
      const gate = await start(t);
      for (const [authorization, path] of [
        ['Basic x', '/read'],
        ['Bearer unknown', '/read'],
        ['Bearer t', '/both'],
        ['Bearer "', '/read'],
      ] as const) {
        const reply = await authorized(gate, authorization, path);
        t.match(reply.headers['www-authenticate'], WELL_FORMED);
        t.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
        t.match(JSON.parse(reply.text), {
          error: { code: reply.status, status: String, message: String, reason: String },
        });
      }
    },

    'R6750-19': async (t) => {
      // A statement about deployment: the settings' reference says it, and the log holds no token.
      const page = readFileSync(join(root, 'docs/settings.md'), 'utf8');
      t.match(page, /`listen\.proxy\.tls/, 'TLS can be served');
      const gate = await start(t, { SECRET: { scope: 'read' } });
      for (const authorization of ['Bearer SECRET', 'Bearer SECRET-unknown', 'Bearer "SECRET"']) {
        await authorized(gate, authorization);
      }
      t.notMatch(JSON.stringify(gate.log), /SECRET/);
    },

    'R6750-20': async (t) => {
      const gate = await start(t);
      t.equal((await authorized(gate, 'Bearer none', '/any')).status, 200);
    },
  });
});

/** `Bearer` and a list of quoted attributes, each of the characters RFC 6750 §3 allows it. */
const WELL_FORMED =
  /^Bearer realm="[\x20\x21\x23-\x5b\x5d-\x7e]*"(?:, error="[a-z_]+", error_description="[\x20\x21\x23-\x5b\x5d-\x7e]*")?(?:, scope="[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")?$/;
