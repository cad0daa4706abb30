import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ask } from '../ask.js';
import { startTestGateway } from '../gateway.js';
import { until } from '../until.js';
import { call } from './server-setup.js';

t.test('POST /cache/purge forgets all, or one token, whatever is under way', async (t) => {
  const gate = await startTestGateway(t);
  const get = (token: string) => ask(gate, '/headers', { token });
  const asked = () => gate.endpoint.asked.length;
  await get('good-read');
  await get('good-write');
  await get('unknown');
  t.equal(asked(), 3);
  t.same((await call(gate, '/cache/purge', { body: { token: 'good-read' } })).json(), { purged: 1 });
  t.same((await call(gate, '/cache/purge', { body: { token: 'good-read' } })).json(), { purged: 0 });
  await get('good-read');
  await get('good-write');
  t.equal(asked(), 4, 'one token is asked about anew');
  t.same((await call(gate, '/cache/purge', { body: { all: true } })).json(), { purged: 3 });
  await get('good-write');
  t.equal(asked(), 5);

  t.comment('an answer from before the purge is told to its waiter, and not kept');
  let open = (): void => {};
  gate.endpoint.gate = new Promise((resolve) => {
    open = resolve;
  });
  const waiting = get('good-admin');
  while (asked() < 6) await new Promise(setImmediate);
  t.same((await call(gate, '/cache/purge', { body: { token: 'good-admin' } })).json(), { purged: 0 });
  gate.endpoint.tokens.delete('good-admin');
  open();
  await waiting;
  t.equal((await get('good-admin')).status, 401);
  t.notMatch(JSON.stringify(gate.log), /good-admin/);
});

t.test('POST /cache/purge forgets all tokens of a subject, a client or a session', async (t) => {
  const gate = await startTestGateway(t, {
    tokens: {
      a: { scope: 'read', sub: 'alice', client_id: 'app', sid: 's1' },
      b: { scope: 'read', sub: 'alice', client_id: 'app', sid: 's2' },
      c: { scope: 'read', sub: 'bob', client_id: 'app', sid: 's3' },
      d: { scope: 'read', sub: 'bob', client_id: 'other' },
    },
  });
  const purge = async (body: object) => (await call(gate, '/cache/purge', { body })).json();
  const askedAgain = async () => {
    const before = gate.endpoint.asked.length;
    for (const token of ['a', 'b', 'c', 'd']) await ask(gate, '/headers', { token });
    return gate.endpoint.asked.slice(before).join('');
  };
  t.equal(await askedAgain(), 'abcd');
  t.same(await purge({ sub: 'alice' }), { purged: 2 });
  t.equal(await askedAgain(), 'ab');
  t.same(await purge({ client_id: 'app' }), { purged: 3 });
  t.equal(await askedAgain(), 'abc');
  t.same(await purge({ sid: 's3' }), { purged: 1 });
  t.equal(await askedAgain(), 'c');
  t.same(await purge({ sid: 'none' }), { purged: 0 });
  t.equal(await askedAgain(), '');
});

t.test('the purge takes JSON only, and says what to forget in one way', async (t) => {
  const gate = await startTestGateway(t);
  for (const body of [
    {},
    { all: false },
    { token: '' },
    { token: 'a', all: true },
    { token: 'a', sub: 'b' },
    { sub: '' },
    { sub: ['a'] },
    { iss: 'a' },
    { tokn: 'a' },
    [],
    '"a"',
  ]) {
    t.equal((await call(gate, '/cache/purge', { body })).status, 400, JSON.stringify(body));
  }
  t.equal((await call(gate, '/cache/purge', { method: 'POST' })).status, 400, 'no body');
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    const headers = { 'content-type': type };
    t.equal(
      (await call(gate, '/cache/purge', { body: '{"all":true}', headers })).status,
      415,
      `a form of another site: ${type}`,
    );
  }
  t.equal((await call(gate, '/cache/purge')).status, 404, 'GET changes nothing');
});

t.test('with a credential, only who has it may purge, from wherever', async (t) => {
  const folder = t.testdir({ token: 'first\n' });
  const file = join(folder, 'token');
  const gate = await startTestGateway(t, { settings: { admin: { tokenFile: file } } });
  const purge = async (authorization?: string) =>
    (
      await call(gate, '/cache/purge', {
        body: { all: true },
        ...(authorization === undefined ? {} : { headers: { authorization } }),
      })
    ).status;
  t.equal(await purge(), 401);
  t.equal(await purge('Bearer second'), 401);
  t.equal(await purge('Basic first'), 401);
  t.equal(await purge('Bearer '), 401);
  t.equal(await purge('Bearer first'), 200);
  writeFileSync(file, 'second-longer\n');
  t.equal(await purge('Bearer first'), 401, 'rotated');
  t.equal(await purge('bearer second-longer'), 200);
});

t.test('each purge has a line in the log, without what was purged; also a refused one', async (t) => {
  const files = t.testdir({ token: 'admin-token' });
  const gate = await startTestGateway(t, { settings: { admin: { tokenFile: join(files, 'token') } } });
  const headers = { authorization: 'Bearer admin-token' };
  await ask(gate, '/headers', { token: 'good-read' });
  for (const body of [{ token: 'good-read' }, { sub: 'secret-subject' }, { all: true }, { tokn: 'x' }]) {
    await call(gate, '/cache/purge', { body, headers });
  }
  await call(gate, '/cache/purge', { body: { all: true } });
  await call(gate, '/cache/purge', { body: { all: true }, headers: { ...headers, host: 'evil.example' } });
  const lines = () => gate.log.filter(({ msg }) => /^cache purged|^purge refused/.test(String(msg)));
  await until(() => lines().length === 6);
  const peer = '127.0.0.1';
  t.match(lines(), [
    { level: 30, msg: 'cache purged', what: 'token', purged: 1, status: 200, peer },
    { level: 30, msg: 'cache purged', what: 'sub', purged: 0, status: 200, peer },
    { level: 30, msg: 'cache purged', what: 'all', status: 200, peer },
    { level: 40, msg: 'purge refused', status: 400, peer },
    { level: 40, msg: 'purge refused', status: 401, peer },
    { level: 40, msg: 'purge refused', peer },
  ]);
  t.match(lines()[5]?.status, /^4\d\d$/);
  t.notMatch(JSON.stringify(lines()), /good-read|secret-subject|admin-token/);
});
