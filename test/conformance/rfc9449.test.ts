import { exportJWK, UnsecuredJWT } from 'jose';
import t, { type Test } from 'tap';
import { ask, type Reply } from '../ask.js';
import { settingsFor } from '../settings.js';
import { sendRaw } from '../wire.js';
import { key, other, start, URI } from './dpop-setup.js';
import { prove } from './statements.js';

function refused(t: Test, reply: Reply, error: string, reason: RegExp): void {
  t.equal(reply.status, 401, String(reason));
  t.match(reply.headers['www-authenticate'], new RegExp(`^DPoP realm="r", error="${error}", .*algs="ES256 `));
  t.match(reply.reason, reason);
}

t.test('RFC 9449', async (t) => {
  await prove(t, ['R9449-'], {
    'R9449-01': async (t) => {
      const { gate, clock, show } = await start(t);
      t.equal((await show()).status, 200, 'one is right');
      const proofs = await Promise.all(
        [0, 1].map(() => key.prove({ uri: URI, token: 't', now: clock.wall() })),
      );
      const head = (fields: string) =>
        `GET /any HTTP/1.1\r\nHost: gate.example\r\nAuthorization: DPoP t\r\n${fields}\r\n`;
      for (const fields of [
        `DPoP: ${proofs[0]}\r\ndpop: ${proofs[1]}\r\n`,
        `DPoP: ${proofs[0]}\r\nDPoP: ${proofs[0]}\r\n`,
        `DPoP: ${proofs[0]}, ${proofs[1]}\r\n`,
        '',
      ]) {
        const { answers } = await sendRaw(gate.port, head(fields));
        t.equal(answers[0]?.status, 401, fields);
        t.match(answers[0]?.headers.get('www-authenticate'), [/^DPoP .*error="invalid_dpop_proof"/]);
        if (fields.split('\r\n').length > 2) t.match(answers[0]?.body.toString(), /more than one DPoP field/);
      }
      t.equal(gate.upstream.received.length, 1);
    },

    'R9449-02': async (t) => {
      const started = await start(t);
      const { show } = started;
      for (const proof of [
        'x',
        'a.b',
        'a.b.c',
        '..',
        `${'a'.repeat(20)}.!.c`,
        'e30.e30.e30',
        'bnVsbA.bnVsbA.AA',
      ]) {
        refused(t, await show({ proof }), 'invalid_dpop_proof', /DPoP proof/);
      }
      const { clock } = started;
      const good = await key.prove({ uri: URI, token: 't', now: clock.wall() });
      for (const proof of [`!${good}`, `${good}=`, `x.${good}`])
        refused(t, await show({ proof }), 'invalid_dpop_proof', /not a JSON Web Token/);
      // Libraries pass over `b64` where `crit` does not name it (RFC 7797 §6).
      for (const b64 of [false, 0, 'false'])
        refused(t, await show({ header: { b64 } }), 'invalid_dpop_proof', /not a JSON Web Token/);
    },

    'R9449-03': async (t) => {
      const { show } = await start(t);
      for (const claim of ['jti', 'htm', 'htu', 'iat']) {
        for (const value of [undefined, null, true, claim === 'iat' ? '1' : 1, '']) {
          refused(t, await show({ claims: { [claim]: value } }), 'invalid_dpop_proof', /DPoP proof/);
        }
      }
    },

    'R9449-04': async (t) => {
      const { show } = await start(t);
      for (const typ of ['JWT', 'at+jwt', undefined, 'dpop', 'application/jwt']) {
        refused(t, await show({ header: { typ } }), 'invalid_dpop_proof', /type dpop\+jwt/);
      }
      t.equal((await show({ header: { typ: 'DPoP+JWT' } })).status, 200, 'in any case (RFC 7515 §4.1.9)');
    },

    'R9449-05': async (t) => {
      const { show, clock } = await start(t, { algorithms: ['ES256', 'Ed25519'] });
      const claims = { jti: 'j', htm: 'GET', htu: URI, iat: clock.wall() };
      refused(
        t,
        await show({ proof: new UnsecuredJWT(claims).encode() }),
        'invalid_dpop_proof',
        /a JSON Web/,
      );
      const [, payload] = (await key.prove({ uri: URI, token: 't', now: clock.wall() })).split('.');
      for (const alg of ['none', 'HS256', 'RS256', 'ES256K']) {
        const header = Buffer.from(JSON.stringify({ typ: 'dpop+jwt', alg, jwk: key.jwk })).toString(
          'base64url',
        );
        refused(t, await show({ proof: `${header}.${payload}.AAAA` }), 'invalid_dpop_proof', /algorithm/);
      }
      t.throws(() => settingsFor(['r'], { proof: { dpop: { algorithms: ['ES256', 'HS256'] } } }), {
        message: /settings.yaml:1:\d+ error invalid-value proof.dpop.algorithms.1 must be one of ES256/,
      });
    },

    'R9449-06': async (t) => {
      const { show, clock } = await start(t);
      const good = await key.prove({ uri: URI, token: 't', now: clock.wall() });
      const forged = (await other.prove({ uri: URI, token: 't', now: clock.wall() })).split('.')[2];
      const cut = good.split('.').slice(0, 2).join('.');
      refused(t, await show({ proof: `${cut}.${forged}` }), 'invalid_dpop_proof', /cannot be verified/);
      refused(
        t,
        await show({ by: other, header: { jwk: key.jwk } }),
        'invalid_dpop_proof',
        /cannot be verified/,
      );
      refused(
        t,
        await show({ header: { crit: ['x'], x: 1 } }).catch(() => show({ proof: `${cut}.AAAA` })),
        'invalid_dpop_proof',
        /cannot be verified/,
      );
    },

    'R9449-07': async (t) => {
      const { show } = await start(t);
      const jwk = await exportJWK(key.privateKey);
      refused(t, await show({ header: { jwk } }), 'invalid_dpop_proof', /private key/);
      const symmetric = { kty: 'oct', k: 'AAAA' };
      refused(t, await show({ header: { jwk: symmetric } }), 'invalid_dpop_proof', /private key/);
      for (const none of [undefined, null, 'x', {}, []]) {
        refused(t, await show({ header: { jwk: none } }), 'invalid_dpop_proof', /no key|cannot be verified/);
      }
    },

    'R9449-08': async (t) => {
      const { show } = await start(t);
      refused(t, await show({ question: { method: 'POST' } }), 'invalid_dpop_proof', /another method/);
      refused(t, await show({ claims: { htm: 'get' } }), 'invalid_dpop_proof', /another method/);
      t.equal((await show({ request: { method: 'POST' }, question: { method: 'POST' } })).status, 200);
    },

    'R9449-09': async (t) => {
      const { show } = await start(t);
      for (const htu of [
        'http://gate.example/other',
        'http://gate.example/any/',
        'http://gate.example/ANY',
        'https://gate.example/any',
        'http://gate.example:8080/any',
        'http://evil.example/any',
        'http://user@gate.example/any',
        'http://gate.example/any/../any/x',
        '/any',
        'any',
        '',
      ]) {
        refused(t, await show({ claims: { htu } }), 'invalid_dpop_proof', /another URI/);
      }
      for (const htu of [
        'HTTP://GATE.example:80/any',
        'http://gate.example/%61ny',
        'http://gate.example/x/../any',
        'http://gate.example/any?a=b#c',
      ]) {
        t.equal((await show({ claims: { htu } })).status, 200, htu);
      }
      t.equal(
        (await show({ path: '/a/%7e%c3%bc?q', claims: { htu: 'http://gate.example/a/~%C3%BC' } })).status,
        200,
      );
      t.equal((await show({ path: '/a//b' })).status, 200);
      refused(
        t,
        await show({ path: '/a//b', claims: { htu: 'http://gate.example/a/b' } }),
        'invalid_dpop_proof',
        /URI/,
      );
    },

    'R9449-10': async (t) => {
      const { show, clock } = await start(t, { nonce: { required: true, lifetime: '60s' } });
      const first = await show();
      refused(t, first, 'use_dpop_nonce', /nonce/);
      const nonce = first.headers['dpop-nonce'];
      t.match(nonce, /^[\x21\x23-\x5b\x5d-\x7e]+$/, 'NQCHAR (RFC 9449 §8.1)');
      t.equal(first.headers['cache-control'], 'no-store');
      for (const wrong of ['x', '', 1, null]) {
        refused(t, await show({ claims: { nonce: wrong } }), 'use_dpop_nonce', /nonce/);
      }
      t.equal((await show({ claims: { nonce } })).status, 200);
      clock.advance(60_000);
      t.equal((await show({ claims: { nonce } })).status, 200, 'the one before is taken');
      clock.advance(60_000);
      refused(t, await show({ claims: { nonce } }), 'use_dpop_nonce', /nonce/);
    },

    'R9449-11': async (t) => {
      const { show, clock } = await start(t, { maxAge: '30s', leeway: '2s' });
      const at = (seconds: number) => show({ claims: { iat: clock.wall() + seconds } });
      t.equal((await at(-30)).status, 200);
      t.equal((await at(2)).status, 200);
      refused(t, await at(-31), 'invalid_dpop_proof', /too old/);
      refused(t, await at(3), 'invalid_dpop_proof', /future/);
      refused(
        t,
        await show({ claims: { exp: clock.wall() - 3 } }),
        'invalid_dpop_proof',
        /cannot be verified/,
      );
    },

    'R9449-12': async (t) => {
      const { show } = await start(t);
      for (const ath of [undefined, '', 'x', 1]) {
        refused(t, await show({ claims: { ath } }), 'invalid_dpop_proof', /another token/);
      }
      refused(
        t,
        await show({ token: 'typed', request: { token: 't' } }),
        'invalid_dpop_proof',
        /another token/,
      );
    },

    'R9449-13': async (t) => {
      const { gate, show } = await start(t);
      refused(t, await show({ by: other }), 'invalid_token', /bound to another key/);
      t.equal(gate.upstream.received.length, 0);
      t.equal((await show({ token: 'typed' })).status, 200, 'what counts is the key, not the type');
      refused(t, await show({ token: 'free' }), 'invalid_token', /not bound to a key/);
      refused(t, await show({ token: 'unbound' }), 'invalid_token', /not a bearer token/);
    },

    'R9449-14': async (t) => {
      const { gate, clock } = await start(t);
      const dpop = await key.prove({ uri: URI, token: 't', now: clock.wall() });
      for (const token of ['t', 'typed']) {
        for (const headers of [{}, { dpop }] as Record<string, string>[]) {
          const reply = await ask(gate, '/any', { token, headers });
          t.equal(reply.status, 401);
          t.match(
            reply.headers['www-authenticate'],
            /^Bearer realm="r", error="invalid_token", .*, DPoP realm="r", algs="ES256 /,
          );
        }
      }
      t.equal((await ask(gate, '/query?access_token=t', { headers: { dpop } })).status, 401, 'in the query');
      t.equal(gate.upstream.received.length, 0);
      t.equal((await ask(gate, '/any', { token: 'free' })).status, 200, 'a plain token is still one');
    },

    'R9449-15': async (t) => {
      const { gate } = await start(t);
      const algs = 'algs="ES256 ES384 ES512 EdDSA Ed25519 PS256 PS384 PS512 RS256 RS384 RS512"';
      const challenged = async (path: string) => (await ask(gate, path)).headers['www-authenticate'];
      t.equal(
        await challenged('/read'),
        `DPoP realm="r", scope="read", ${algs}, Bearer realm="r", scope="read"`,
      );
      t.equal(await challenged('/only'), `DPoP realm="r", ${algs}`, 'Bearer would be of no use');
    },

    'R9449-16': async (t) => {
      const { gate, clock, show } = await start(t, { maxAge: '30s', leeway: '5s', maxProofsPerKey: 5 });
      const proof = await key.prove({ uri: URI, token: 't', now: clock.wall() + 5 });
      t.equal((await show({ proof })).status, 200);
      for (const passed of [0, 20_000, 15_000]) {
        clock.advance(passed);
        refused(t, await show({ proof }), 'invalid_dpop_proof', /used before/);
      }
      clock.advance(1_000);
      refused(t, await show({ proof }), 'invalid_dpop_proof', /too old/);
      const made = await key.prove({ uri: URI, token: 't', now: clock.wall() });
      const together = await Promise.all(Array.from({ length: 20 }, () => show({ proof: made })));
      t.equal(together.filter(({ status }) => status === 200).length, 1, 'of many at once one gets through');
      for (let i = 0; i < 4; i++) t.equal((await show()).status, 200);
      refused(t, await show(), 'invalid_dpop_proof', /too many/);
      gate.endpoint.tokens.set('o', { cnf: { jkt: other.jkt } });
      t.equal((await show({ token: 'o', by: other })).status, 200, 'another key has its own share');
      clock.advance(36_000);
      t.equal((await show()).status, 200, 'what is too old is forgotten');
    },

    'R9449-17': async (t) => {
      const { gate, clock, show } = await start(t, { nonce: { required: true, lifetime: '60s' } });
      const nonce = (await show()).headers['dpop-nonce'];
      t.equal((await show({ claims: { nonce, htm: 'x' } })).headers['dpop-nonce'], nonce, 'with any refusal');
      t.equal((await show({ claims: { nonce } })).headers['dpop-nonce'], undefined, 'nothing new to say');
      clock.advance(60_000);
      const renewed = await show({ claims: { nonce } });
      t.equal(renewed.status, 200);
      t.not(renewed.headers['dpop-nonce'], nonce);
      t.equal(renewed.headers['cache-control'], 'no-store', 'no cache may hand it out again');
      t.equal((await show({ claims: { nonce: renewed.headers['dpop-nonce'] } })).status, 200);
      t.equal(gate.upstream.received.length, 3);
    },
  });
});
