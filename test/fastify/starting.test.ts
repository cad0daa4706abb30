import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import createApp, { type FastifyInstance } from 'fastify';
import t from 'tap';
import scopegate from '../../src/fastify/plugin.js';
import { ask } from '../ask.js';
import { FORWARD_RULES } from '../proxy/raw.js';
import { freePort } from '../stack/port.js';
import { until } from '../until.js';
import { startTestApp, type TestAppOptions } from './app.js';

const START: TestAppOptions = { rules: FORWARD_RULES, upstreams: true };

t.test('closing the application ends everything of the plugin', async (t) => {
  const app = await startTestApp(t, START);
  await ask(app, '/guarded/a', { token: 'good-read' });
  t.equal(app.app.scopegate.ready, true);
  t.equal(app.upstream.sockets.size, 1);
  await app.app.close();
  t.equal(app.app.scopegate.ready, false);
  await until(() => app.upstream.sockets.size === 0);
});

t.test('a request in flight ends before the application does', async (t) => {
  let answer = (): void => {};
  const app = await startTestApp(t, {
    ...START,
    respond: (_message, response) => {
      answer = () => response.end('late');
    },
  });
  const asked = ask(app, '/a');
  await until(() => app.upstream.received.length === 1);
  const closed = app.app.close();
  answer();
  t.equal((await asked).text, 'late');
  await closed;
});

t.test('rules are loaded again, and cached answers forgotten', async (t) => {
  const app = await startTestApp(t, { ...START, settings: { reload: { watch: false } } });
  const get = async () => (await ask(app, '/guarded/a', { token: 'good-read' })).status;
  const file = join(app.folder, 'rules.yaml');
  const good = readFileSync(file, 'utf8');
  t.equal(await get(), 200);
  writeFileSync(file, good.replace('"read"', '"admin"'));
  t.same(await app.app.scopegate.reload(), { ok: true, findings: [] });
  t.equal(app.app.scopegate.rulesVersion, 2);
  t.equal(await get(), 403);
  writeFileSync(file, good.replace('"handler"', '"handlr"'));
  const { ok, findings } = await app.app.scopegate.reload();
  t.equal(ok, false);
  t.match(findings[0], /rules\.yaml:1:\d+ error /);
  t.equal(await get(), 403, 'the set from before stays');
  t.equal(app.endpoint.asked.length, 1);
  t.same(await app.app.scopegate.purge({ token: 'good-read' }), { purged: 1 });
  t.same(await app.app.scopegate.purge('all'), { purged: 0 });
  await get();
  t.equal(app.endpoint.asked.length, 2);
});

t.test('a reload when files change', async (t) => {
  const app = await startTestApp(t, START);
  const file = join(app.folder, 'rules.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"read"', '"admin"'));
  await until(() => app.app.scopegate.rulesVersion === 2);
  t.equal((await ask(app, '/guarded/a', { token: 'good-read' })).status, 403);
});

t.test('what is wrong with options, settings and rules keeps the application from starting', async (t) => {
  const start = async (options: object): Promise<FastifyInstance> => {
    const app = createApp();
    t.teardown(() => app.close());
    await app.register(scopegate, { environment: {}, ...options } as never);
    await app.ready();
    return app as unknown as FastifyInstance;
  };
  await t.rejects(start({}), /"settings" must be the path of a settings file/);
  await t.rejects(start({ settings: 'nothing.yaml' }), /nothing\.yaml:1:1 error unreadable-file/);
  await t.rejects(start({ settings: {} }), /settings:1:1 error missing-field/);
  await t.rejects(
    start({ settings: { rules: ['.'], introspection: { url: 7 } } }),
    /settings\.introspection\.url:1:1 error wrong-type/,
  );
  await t.rejects(start({ settings: 'a.yaml', prefix: '/api' }), /use upstreams: \{ prefix \}/);
  await t.rejects(
    start({ settings: { rules: ['.'], introspection: { url: 'http://a/b' }, liten: {} } }),
    /settings\.liten:1:1 error unknown-field/,
  );
  const folder = t.testdir({ 'rules.yaml': FORWARD_RULES.replace('"/.*"', '"/(a|aa)*"') });
  await t.rejects(
    start({ settings: { rules: [folder], introspection: { url: 'http://a/b' } } }),
    /rules\.yaml:1:\d+ error pattern-backtracking/,
  );
});

t.test('a settings file, with variables over it', async (t) => {
  const other = await startTestApp(t, START);
  const file = join(other.folder, 'settings.yaml');
  writeFileSync(
    file,
    `rules: [ ./rules.yaml ]\nmatching: { overlap: specific }\nintrospection: { url: ${other.endpoint.url} }\nserver: { maxEventLoopDelay: 0s }\n`,
  );
  const app = createApp();
  t.teardown(() => app.close());
  await app.register(scopegate, {
    settings: file,
    environment: {
      SCOPEGATE_SERVICES: JSON.stringify({ default: other.upstream.url }),
      SCOPEGATE_REALM: 'mine',
    },
    upstreams: true,
  });
  const get = (headers: object) =>
    app.inject({ url: '/guarded/a', headers: { host: 'gate.example', ...headers } });
  t.match((await get({})).headers['www-authenticate'], /realm="mine"/);
  t.equal((await get({ authorization: 'Bearer good-read' })).statusCode, 200);
});

t.test('lines go to the application’s logger, without tokens', async (t) => {
  const lines: string[] = [];
  const other = await startTestApp(t, START);
  const app = createApp({
    logger: { level: 'info', stream: { write: (line: string) => void lines.push(line) } },
  });
  t.teardown(() => app.close());
  await app.register(scopegate, {
    settings: {
      rules: [join(other.folder, 'rules.yaml')],
      services: { default: `http://127.0.0.1:${await freePort()}` },
      introspection: { url: other.endpoint.url },
      matching: { overlap: 'specific' },
      server: { maxEventLoopDelay: '0s' },
    },
    environment: {},
    upstreams: true,
  });
  const headers = { host: 'gate.example', authorization: 'Bearer good-read' };
  await app.inject({ url: '/guarded/a?secret=hidden', headers });
  await until(() => lines.some((line) => line.includes('"decision"')));
  const audit = lines.map((line) => JSON.parse(line)).find(({ msg }) => msg === 'decision');
  t.match(audit, {
    level: 30,
    name: 'scopegate',
    audit: 1,
    entrance: 'fastify',
    decision: 'allow',
    subject: 'reader',
    cause: 'ECONNREFUSED',
    status: 502,
  });
  t.notMatch(lines.join(), /good-read/);
  t.notMatch(JSON.stringify(audit), /hidden/);
});
