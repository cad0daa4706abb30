import t from 'tap';
import { AnswerCache } from '../../src/auth/introspection/cache.js';
import { createIntrospector } from '../../src/auth/introspection/introspector.js';
import type { ClientAuth, Endpoint } from '../../src/model/authorization-server.js';
import type { Answer } from '../../src/model/introspection.js';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { isInvalidToken, start, status } from './introspection-setup.js';
import { prove } from './statements.js';

t.test('RFC 7662 and the part of RFC 9700 that rests on it: what is cached', async (t) => {
  await prove(
    t,
    [
      'R7662-17',
      'R7662-18',
      'R7662-19',
      'R7662-20',
      'R7662-21',
      'R7662-22',
      'R7662-23',
      'R7662-26',
      'R9700-01',
    ],
    {
      'R7662-17': async (t) => {
        const { gate, clock } = await start(t, { t: { exp: fakeClock().wall() + 10 } });
        t.equal(await status(gate, '/any'), 200);
        clock.advance(9_999);
        t.equal(await status(gate, '/any'), 200);
        t.equal(gate.endpoint.asked.length, 1);
        clock.advance(1);
        isInvalidToken(t, await ask(gate, '/any', { token: 't' }), 'at exp');
        t.equal(gate.endpoint.asked.length, 2, 'the cached answer was not used');
      },

      'R7662-18': async (t) => {
        const { gate, clock } = await start(t, { t: {} }, { cache: { ttl: '60s' } });
        for (let i = 0; i < 6; i++) {
          t.equal(await status(gate, '/any'), 200);
          clock.advance(9_999);
        }
        t.equal(gate.endpoint.asked.length, 1);
        clock.advance(10);
        t.equal(await status(gate, '/any'), 200);
        t.equal(gate.endpoint.asked.length, 2, 'bounded');
      },

      'R7662-19': async (t) => {
        const clock = fakeClock();
        const cache = new AnswerCache(
          { ttl: 1e6, negativeTtl: 1e6, maxEntries: 100, negativeMaxEntries: 100 },
          clock,
        );
        const asked: string[] = [];
        const answer: Answer = { active: true, claims: {}, scopes: [], audience: [] };
        const { introspect } = createIntrospector({
          client: {
            call: async (endpoint, token) => {
              asked.push(`${endpoint.url} ${endpoint.auth.method} ${token}`);
              return answer;
            },
          },
          cache,
          limits: { timeout: 1_000, concurrency: 10, queue: 10, breaker: { failures: 0, openFor: 1 } },
          clock,
        });
        const basic: ClientAuth = { method: 'basic', clientId: 'a', clientSecret: () => 's' };
        const endpoints: Endpoint[] = ['http://a.example/i', 'http://b.example/i'].flatMap((url) =>
          [{ method: 'none' } as const, basic].map((auth) => ({ url, headers: {}, auth })),
        );
        for (let i = 0; i < 3; i++) for (const endpoint of endpoints) await introspect(endpoint, 't');
        t.equal(asked.length, 4, asked.join(', '));
      },

      'R7662-20': async (t) => {
        const { gate } = await start(t, { t: { scope: 'read' }, w: { scope: 'write' } });
        t.equal(await status(gate, '/read'), 200);
        t.equal(await status(gate, '/write'), 403);
        t.equal(await status(gate, '/read', 'w'), 403);
        t.equal(await status(gate, '/write', 'w'), 200);
        t.equal(gate.endpoint.asked.length, 2);
      },

      'R7662-21': async (t) => {
        const { gate, clock } = await start(t, { t: {} }, { cache: { ttl: '20s' } });
        t.equal(await status(gate, '/any'), 200);
        gate.endpoint.tokens.delete('t');
        clock.advance(20_000);
        t.equal(await status(gate, '/any'), 401);
      },

      'R7662-22': async (t) => {
        const { gate, clock } = await start(t);
        t.equal(gate.settings.introspection.cache.negativeTtl, 5_000, 'by default');
        t.equal(await status(gate, '/any'), 401);
        t.equal(await status(gate, '/any'), 401);
        t.equal(gate.endpoint.asked.length, 1);
        gate.endpoint.tokens.set('t', {});
        clock.advance(5_000);
        t.equal(await status(gate, '/any'), 200);
        const off = await start(t, {}, { cache: { negativeTtl: '0' } });
        await status(off.gate, '/any');
        await status(off.gate, '/any');
        t.equal(off.gate.endpoint.asked.length, 2, 'off');
      },

      'R7662-23': async (t) => {
        const { gate } = await start(t, { t: {} });
        for (const [code, text] of [
          [500, ''],
          [200, '{'],
        ] as const) {
          gate.endpoint.fault = (_message, response) =>
            void response.writeHead(code, { 'content-type': 'application/json' }).end(text);
          t.equal(await status(gate, '/any'), 503);
        }
        gate.endpoint.fault = (message) => (message.socket as import('node:net').Socket).resetAndDestroy();
        t.equal(await status(gate, '/any'), 503);
        gate.endpoint.fault = undefined;
        t.equal(await status(gate, '/any'), 200, 'the very next request');
      },

      'R7662-26': async (t) => {
        const { gate } = await start(t, { t: {} }, { breaker: { failures: 0 } });
        gate.endpoint.fault = (_message, response) => void response.writeHead(500).end();
        const failed = await Promise.all(Array.from({ length: 100 }, () => status(gate, '/any')));
        t.ok(failed.every((code) => code === 503));
        gate.endpoint.fault = undefined;
        gate.endpoint.asked.length = 0;
        let open = (): void => {};
        gate.endpoint.gate = new Promise<void>((resolve) => {
          open = resolve;
        });
        const asking = Array.from({ length: 100 }, () => status(gate, '/any', 'u'));
        gate.endpoint.tokens.set('u', {});
        setTimeout(open, 0);
        t.same(new Set(await Promise.all(asking)), new Set([200]));
        t.equal(gate.endpoint.asked.length, 1);
      },

      'R9700-01': async (t) => {
        const { gate } = await start(t, { t: { aud: 'other' }, api: { aud: 'api' } });
        t.equal(await status(gate, '/any'), 200, 'cached by a rule without an audience');
        t.equal(await status(gate, '/aud'), 401, 'hit');
        t.equal(await status(gate, '/any'), 200);
        t.equal(gate.endpoint.asked.length, 1);
        t.equal(await status(gate, '/aud', 'api'), 200);
        t.equal(await status(gate, '/aud', 'api'), 200);
      },
    },
  );
});
