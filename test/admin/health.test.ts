import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ask } from '../ask.js';
import { apiRule, startTestGateway } from '../gateway.js';
import { root } from '../root.js';
import { sendRaw } from '../wire.js';

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

t.test('alive, ready and version on the admin port', async (t) => {
  const gate = await startTestGateway(t);
  const get = async (path: string) => {
    const answer = await fetch(gate.gateway.adminUrl + path);
    return { status: answer.status, headers: answer.headers, body: (await answer.json()) as object };
  };
  t.match(await get('/health/alive'), { status: 200, body: { status: 'ok' } });
  t.match(await get('/health/ready'), { status: 200, body: { status: 'ok' } });
  t.match(await get('/version'), { status: 200, body: { version } });
  const { headers, status, body } = await get('/nothing-here');
  t.equal(status, 404);
  t.match(body, { error: { code: 404 } });
  t.equal(headers.get('cache-control'), 'no-store');
  t.equal(gate.upstream.received.length, 0);
  t.equal(gate.endpoint.asked.length, 0);
});

t.test('nothing of it on the proxy port', async (t) => {
  const paths = [
    '/health/alive',
    '/health/ready',
    '/version',
    '/metrics',
    '/rules',
    '/decisions',
    '/cache/purge',
    '/',
  ];
  t.test('without a rule for the path it is 404', async (t) => {
    const gate = await startTestGateway(t, {
      rules: apiRule('gate.example', [
        { path: '/only', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
      ]),
    });
    for (const path of paths) {
      for (const host of ['gate.example', '127.0.0.1', 'localhost', new URL(gate.gateway.adminUrl).host]) {
        const reply = await ask(gate, path, { host });
        t.equal(reply.status, 404, `${host}${path}`);
        t.match(reply.text, /no rule/);
      }
    }
    const raw = `GET http://${new URL(gate.gateway.adminUrl).host}/version HTTP/1.1\r\nHost: gate.example\r\n\r\n`;
    const { answers } = await sendRaw(gate.port, raw);
    t.not(answers[0]?.status, 200, 'nor by naming the admin port in the target');
    t.equal(gate.upstream.received.length, 0);
  });
  t.test('with a rule it is the upstream’s', async (t) => {
    const gate = await startTestGateway(t, {
      rules: apiRule('gate.example', [
        { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
      ]),
    });
    for (const path of paths) {
      t.equal((await ask(gate, path)).status, 200);
      t.equal(gate.upstream.received.at(-1)?.url, path);
    }
  });
});

t.test('nothing of the proxy on the admin port', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      { path: '/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
    ]),
  });
  const reply = await ask({ url: gate.gateway.adminUrl }, '/x');
  t.equal(reply.status, 404);
  t.equal(gate.upstream.received.length, 0);
});
