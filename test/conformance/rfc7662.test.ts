import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { makeCertificate } from '../stack/certificate.js';
import { answering, isInvalidToken, start, status } from './introspection-setup.js';
import { prove } from './statements.js';

/** The one call a gateway with this client authentication makes. */
async function callWith(t: Test, clientAuth: object) {
  const { gate } = await start(t, { t: {} }, { clientAuth });
  t.equal(await status(gate, '/any'), 200);
  const [request] = gate.endpoint.requests;
  if (request === undefined) throw new Error('nobody was asked');
  return { headers: request.message.headers, form: new URLSearchParams(request.body), body: request.body };
}

t.test('RFC 7662 and the part of RFC 9700 that rests on it: the call and the answer', async (t) => {
  await prove(
    t,
    [
      'R7662-0',
      'R7662-10',
      'R7662-11',
      'R7662-12',
      'R7662-13',
      'R7662-14',
      'R7662-15',
      'R7662-16',
      'R7662-24',
      'R7662-25',
      'R7662-27',
      'R7662-28',
      'R9700-02',
    ],
    {
      'R7662-01': async (t) => {
        const { gate } = await start(t, { 'a+b/c==': {} });
        t.equal(await status(gate, '/any', 'a+b/c=='), 200);
        const [request] = gate.endpoint.requests;
        t.equal(request?.message.method, 'POST');
        t.equal(request?.message.headers['content-type'], 'application/x-www-form-urlencoded');
        t.equal(request?.body, 'token=a%2Bb%2Fc%3D%3D');
      },

      'R7662-02': async (t) => {
        // No hint can be configured, so none is ever sent.
        const { form } = await callWith(t, { method: 'none' });
        t.same([...form.keys()], ['token'], 'no hint, and no scope either');
      },

      'R7662-03': async (t) => {
        const id = 'a:b+c d%ü';
        const secret = 's+e%c:r&e=t /ü';
        const { headers } = await callWith(t, { method: 'basic', clientId: id, clientSecret: secret });
        const pair = Buffer.from(String(headers.authorization).replace(/^Basic /, ''), 'base64').toString();
        t.match(pair, /^[A-Za-z0-9*._%+-]+:[A-Za-z0-9*._%+-]+$/, 'one colon, and nothing raw');
        const [user, password] = pair.split(':').map((part) => new URLSearchParams(`v=${part}`).get('v'));
        t.equal(user, id);
        t.equal(password, secret);
      },

      'R7662-04': async (t) => {
        const none = await callWith(t, { method: 'none' });
        t.equal(none.headers.authorization, undefined);
        t.same([...none.form.keys()], ['token']);
        const bearer = await callWith(t, { method: 'bearer', token: 'gateway-token' });
        t.equal(bearer.headers.authorization, 'Bearer gateway-token');
        t.same([...bearer.form.keys()], ['token']);
        const post = await callWith(t, { method: 'post', clientId: 'a&b', clientSecret: 's=+&t' });
        t.equal(post.headers.authorization, undefined);
        t.equal(post.form.get('client_id'), 'a&b');
        t.equal(post.form.get('client_secret'), 's=+&t');
        t.equal(post.form.get('token'), 't');
      },

      'R7662-05': async (t) => {
        const { gate } = await start(t);
        for (const text of ['{"active":false}', '{"active":false,"scope":"read","exp":"soon","sub":7}']) {
          answering(gate, text);
          isInvalidToken(t, await ask(gate, '/any', { token: `t${text.length}` }), text);
        }
        t.equal(gate.upstream.received.length, 0);
      },

      'R7662-06': async (t) => {
        for (const text of [
          '{}',
          '{"active":null}',
          '{"active":"true"}',
          '{"active":1}',
          '[true]',
          'true',
          '"active"',
        ]) {
          const { gate } = await start(t);
          answering(gate, text);
          t.equal(await status(gate, '/any'), 503, text);
          t.equal(gate.upstream.received.length, 0);
        }
      },

      'R7662-07': async (t) => {
        const { gate } = await start(t, {
          spaces: { scope: '  other  read ' },
          upper: { scope: 'READ Read' },
          tab: { scope: 'other\tread' },
          comma: { scope: 'other,read' },
        });
        t.equal(await status(gate, '/read', 'spaces'), 200);
        for (const token of ['upper', 'tab', 'comma'])
          t.equal(await status(gate, '/read', token), 403, token);
      },

      'R7662-08': async (t) => {
        const { gate } = await start(t, { t: {}, empty: { scope: '' } });
        for (const token of ['t', 'empty']) {
          const reply = await ask(gate, '/read', { token });
          t.equal(reply.status, 403);
          t.match(reply.headers['www-authenticate'], /error="insufficient_scope"/);
        }
      },

      'R7662-09': async (t) => {
        // The statement would have an option for it. Servers with lists are many and the meaning is plain: the list is
        // taken without one, its items compared as they are and never split or joined.
        const { gate } = await start(t, {
          t: { scope: ['other', 'read'] },
          split: { scope: ['other read'] },
          odd: { scope: [['read']] },
        });
        t.equal(await status(gate, '/read'), 200);
        t.equal(await status(gate, '/read', 'split'), 403);
        t.equal(await status(gate, '/read', 'odd'), 503, 'anything but texts is no answer');
      },

      'R7662-10': async (t) => {
        for (const code of [401, 403]) {
          const { gate } = await start(t);
          gate.endpoint.fault = (_message, response) => void response.writeHead(code).end();
          const reply = await ask(gate, '/any', { token: 't' });
          t.equal(reply.status, 503);
          t.equal(reply.headers['www-authenticate'], undefined);
          t.match(
            gate.log.filter(({ msg }) => msg === 'introspection failed'),
            [{ level: 40, cause: `the authorization server answered ${code}` }],
          );
        }
      },

      'R7662-11': async (t) => {
        const now = fakeClock().wall();
        for (const [leeway, exp, expected] of [
          ['0s', now, 401],
          ['0s', now - 1, 401],
          ['0s', now + 1, 200],
          ['10s', now - 9, 200],
          ['10s', now - 10, 401],
        ] as const) {
          const { gate } = await start(t, { t: { exp } }, { leeway });
          const reply = await ask(gate, '/any', { token: 't' });
          t.equal(reply.status, expected, `exp ${exp - now}, leeway ${leeway}`);
          if (expected === 401) isInvalidToken(t, reply, 'expired');
        }
      },

      'R7662-12': async (t) => {
        const now = fakeClock().wall();
        for (const [leeway, nbf, expected] of [
          ['0s', now, 200],
          ['0s', now + 1, 401],
          ['10s', now + 10, 200],
          ['10s', now + 11, 401],
        ] as const) {
          const { gate } = await start(t, { t: { nbf } }, { leeway });
          const reply = await ask(gate, '/any', { token: 't' });
          t.equal(reply.status, expected, `nbf ${nbf - now}, leeway ${leeway}`);
          if (expected === 401) isInvalidToken(t, reply, 'not yet valid');
        }
      },

      'R7662-13': async (t) => {
        const { gate } = await start(t, {
          text: { aud: 'api' },
          list: { aud: ['other', 'api'] },
          other: { aud: 'other' },
          others: { aud: ['other', 'api2', 'API'] },
          joined: { aud: 'other api' },
          empty: { aud: [] },
          absent: {},
        });
        for (const token of ['text', 'list']) t.equal(await status(gate, '/aud', token), 200, token);
        for (const token of ['other', 'others', 'joined', 'empty', 'absent']) {
          isInvalidToken(t, await ask(gate, '/aud', { token }), token);
        }
      },

      'R7662-14': async (t) => {
        const { gate } = await start(t, {
          right: { iss: 'https://as.example' },
          slash: { iss: 'https://as.example/' },
          other: { iss: 'https://evil.example' },
          absent: {},
        });
        t.equal(await status(gate, '/iss', 'right'), 200);
        for (const token of ['slash', 'other', 'absent'])
          isInvalidToken(t, await ask(gate, '/iss', { token }), token);
      },

      'R7662-15': async (t) => {
        const { gate } = await start(t, {
          access: { token_use: 'access_token', token_type: 'Bearer' },
          refresh: { token_use: 'refresh_token', token_type: 'Bearer' },
          'refresh-v1': { token_type: 'refresh_token' },
          id: { token_use: 'id_token' },
        });
        t.equal(await status(gate, '/any', 'access'), 200);
        for (const token of ['refresh', 'refresh-v1', 'id'])
          isInvalidToken(t, await ask(gate, '/any', { token }), token);
      },

      'R7662-16': async (t) => {
        const { gate } = await start(t, {
          type: { token_type: 'DPoP' },
          jkt: { cnf: { jkt: 'x' } },
          certificate: { token_type: 'Bearer', cnf: { 'x5t#S256': 'x' } },
          unknown: { cnf: { other: 1 } },
          odd: { cnf: 'x' },
        });
        for (const token of ['type', 'jkt', 'certificate', 'unknown', 'odd']) {
          isInvalidToken(t, await ask(gate, '/any', { token }), token);
        }
      },

      'R7662-24': async (t) => {
        const certificate = await makeCertificate(['as.example']);
        let served = 0;
        const server = createHttpsServer(certificate, (_message, response) => {
          served++;
          response.writeHead(200, { 'content-type': 'application/json' }).end('{"active":true}');
        });
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        t.teardown(() => new Promise((resolve) => server.close(resolve)));
        const { port } = server.address() as AddressInfo;
        const { gate } = await start(t, {}, { url: `https://127.0.0.1:${port}/introspect` });
        t.equal(await status(gate, '/any'), 503);
        t.equal(served, 0);
        t.equal(gate.upstream.received.length, 0);
      },

      'R7662-25': async (t) => {
        const { gate } = await start(t, { 'the-token': {} });
        t.equal(await status(gate, '/any', 'the-token'), 200);
        t.equal(gate.endpoint.requests[0]?.message.url, '/admin/oauth2/introspect');
      },

      'R7662-27': async (t) => {
        const { gate } = await start(t);
        const now = fakeClock().wall();
        for (const [exp, expected] of [
          ['99999999999999999999999', 200],
          [`${now + 0.5}`, 200],
          [`${now - 0.5}`, 401],
          ['-1', 401],
          ['0', 401],
          [`"${now + 60}"`, 503],
          ['"soon"', 503],
          ['true', 503],
          // Absent: many servers write the members that they have no value for.
          ['null', 200],
          ['[]', 503],
          ['1e999', 503],
        ] as const) {
          answering(gate, `{"active":true,"exp":${exp}}`);
          t.equal(await status(gate, '/any', `t${expected}${exp.replace(/[^0-9a-z]/g, '-')}`), expected, exp);
        }
      },

      'R7662-28': async (t) => {
        // The last of duplicate members counts, as `readAnswer` documents.
        for (const [text, expected] of [
          ['{"active":true,"active":false}', 401],
          ['{"active":false,"active":true}', 200],
          ['{"__proto__":{"active":true}}', 503],
          ['{"active":false,"__proto__":{"active":true},"constructor":{"prototype":{"active":true}}}', 401],
        ] as const) {
          const { gate } = await start(t);
          answering(gate, text);
          t.equal(await status(gate, '/any'), expected, text);
          t.notOk('active' in {}, 'no prototype was touched');
        }
      },

      'R9700-02': async (t) => {
        const { gate } = await start(t, { t: { cnf: { jkt: 'x' } } });
        for (let i = 0; i < 2; i++)
          isInvalidToken(t, await ask(gate, '/any', { token: 't' }), 'refused, hit or miss');
        t.equal(gate.upstream.received.length, 0);
      },
    },
  );
});
