import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import createApp from 'fastify';
import t from 'tap';
import scopegate from '../../src/fastify/plugin.js';
import { ask } from '../ask.js';
import { apiRule, rule } from '../gateway.js';
import { request } from '../proxy/raw.js';
import { until } from '../until.js';
import { open, sendRaw } from '../wire.js';
import { startTestApp } from './app.js';
import { guarded, show } from './routes-setup.js';

t.test('two Authorization or Host fields, and other ambiguities, are 400', async (t) => {
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async () => t.fail('a route ran'));
      app.post('/post', async () => t.fail('a route ran'));
    },
  });
  const token = 'Authorization: Bearer good-read';
  for (const fields of [
    [token, 'Authorization: Bearer nobody'],
    [token, 'Host: other.example'],
    [token, 'Author_ization: x', 'Content_Length: 5'],
    [token, 'Cookie_: x', 'Transfer_Encoding: chunked'],
  ]) {
    const { answers, closed } = await sendRaw(app.port, request('GET /a', fields), { answers: 2 });
    t.equal(answers[0]?.status, 400, fields.join());
    t.ok(closed, 'the connection ends');
  }
  t.same(app.endpoint.asked, []);
});

t.test('inject works as a socket does', async (t) => {
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', show);
      app.post('/post', async ({ body }) => body);
    },
  });
  const host = 'gate.example';
  const inject = (url: string, headers: object = {}) =>
    app.app.inject({ url, headers: { host, ...headers } });
  t.equal((await inject('/a')).statusCode, 401);
  t.equal((await inject('/a', { authorization: 'Bearer good-read' })).statusCode, 200);
  t.equal((await inject('/a', { authorization: ['Bearer good-read', 'Bearer x'] })).statusCode, 400);
  t.equal((await inject('//a', { authorization: 'Bearer good-read' })).statusCode, 400);
  const posted = await app.app.inject({
    method: 'POST',
    url: '/post',
    headers: { host, authorization: 'Bearer good-write' },
    payload: { a: 1 },
  });
  t.same(posted.json(), { a: 1 }, 'the body is the route’s to parse');
  await until(() => app.log.length === 5);
});

t.test('a token in a form is found, and the route gets the whole form', async (t) => {
  const app = await startTestApp(t, {
    rules: apiRule('gate.example', [
      {
        path: '/form',
        methods: ['POST'],
        accessStrategies: [
          {
            handler: 'oauth2_introspection',
            config: { required_scope: ['write'], token_sources: [{ form_parameter: 'access_token' }] },
          },
        ],
      },
    ]),
    after: (app) => {
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
        done(null, body),
      );
      guarded(app);
      app.post('/form', async ({ body }) => body);
    },
  });
  const post = (body: string) =>
    ask(app, '/form', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
    });
  t.match(await post('a=1&access_token=good-write'), { status: 200, text: 'a=1&access_token=good-write' });
  t.equal((await post('a=1&access_token=good-read')).status, 403);
  t.equal((await post('a=1')).status, 401);
});

t.test('behind a hook that has read the body a token in it is not seen, and nothing waits', async (t) => {
  const app = await startTestApp(t, {
    rules: apiRule('gate.example', [
      {
        path: '/form',
        methods: ['POST'],
        accessStrategies: [
          {
            handler: 'oauth2_introspection',
            config: { required_scope: ['write'], token_sources: [{ form_parameter: 'access_token' }] },
          },
        ],
      },
    ]),
    after: (app) => {
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
        done(null, body),
      );
      app.post('/form', { preHandler: app.scopegate.authorize }, async () => t.fail('a route ran'));
    },
  });
  const { status } = await ask(app, '/form', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: 'access_token=good-write',
  });
  t.equal(status, 401);
});

t.test('a client that leaves before the decision starts no route', async (t) => {
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async () => t.fail('a route ran'));
    },
  });
  let decide = (): void => {};
  app.endpoint.gate = new Promise((resolve) => {
    decide = resolve;
  });
  const client = await open(app.port);
  client.write(request('GET /a', ['Authorization: Bearer good-read']));
  await until(() => app.endpoint.asked.length === 1);
  client.destroy();
  await new Promise<void>((resolve) =>
    (function look() {
      app.app.server.getConnections((_, count) => (count === 0 ? resolve() : setImmediate(look)));
    })(),
  );
  decide();
  await until(() => app.log.length === 1);
  t.match(app.log[0], { decision: 'allow', status: 0, cause: 'client_closed' });
});

t.test('what follows a refusal that ends the connection is not processed', async (t) => {
  let ran = 0;
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', async () => `${++ran}`);
    },
  });
  const good = request('GET /a', ['Authorization: Bearer good-read']);
  const socket = connect(app.port, '127.0.0.1');
  let heard = '';
  socket.on('data', (data) => {
    heard += data;
  });
  socket.write(request('GET //a') + good + good);
  await new Promise((resolve) => socket.once('close', resolve));
  t.match(heard, /^HTTP\/1\.1 400 /);
  t.notMatch(heard, /HTTP\/1\.1 200/);
  t.equal(ran, 0);
});

t.test('through a Unix socket', async (t) => {
  const path = `${t.testdir({})}/s`;
  const app = await startTestApp(t, {
    after: (app) => {
      guarded(app);
      app.get('/a', show);
    },
  });
  await app.app.close();
  const other = createApp();
  t.teardown(() => other.close());
  writeFileSync(`${app.folder}/own.yaml`, apiRule('gate.example', [rule('/.*', ['GET'], 'read')]));
  await other.register(scopegate, {
    environment: {},
    settings: {
      rules: [`${app.folder}/own.yaml`],
      introspection: { url: app.endpoint.url },
      server: { maxEventLoopDelay: '0s' },
    },
  });
  other.addHook('onRequest', other.scopegate.authorize);
  other.get('/a', show);
  await other.listen({ path });
  const socket = connect(path);
  const answer = await new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(String(data)));
    socket.write(request('GET /a', ['Authorization: Bearer good-read']));
  });
  socket.destroy();
  t.match(answer, /^HTTP\/1\.1 200 /);
});
