import t from 'tap';
import { ask } from '../../ask.js';
import { start } from './introspection-setup.js';

t.test('token_from header: that field alone, without a scheme', async (t) => {
  const gate = await start(t, [{ token_from: { header: 'X-Token' } }], { t: {} });
  const get = async (headers: Record<string, string>) => (await ask(gate, '/0', { headers })).status;
  t.equal(await get({ 'x-token': 't' }), 200);
  t.equal(await get({ 'X-TOKEN': 't' }), 200);
  t.equal(await get({ 'x-token': 'unknown' }), 401);
  t.equal(await get({ 'x-token': 'Bearer t' }), 400, 'no token has a space');
  t.equal(await get({ authorization: 'Bearer t' }), 401, 'the Authorization field is not looked at');
  t.same(gate.endpoint.asked, ['t', 'unknown']);
});

t.test('token_from header Authorization: as without', async (t) => {
  const gate = await start(t, [{ token_from: { header: 'authorization' } }], { t: {} });
  t.equal((await ask(gate, '/0', { token: 't' })).status, 200);
});

t.test('token_from query_parameter: decoded, once, and not beside a header', async (t) => {
  const gate = await start(t, [{ token_from: { query_parameter: 'key' } }], { 't+/=': {}, t: {} });
  const get = async (query: string, headers = {}) => (await ask(gate, `/0${query}`, { headers })).status;
  t.equal(await get('?key=t'), 200);
  t.equal(await get('?a=b&key=t%2B%2F%3D'), 200);
  t.equal(gate.upstream.received.at(-1)?.url, '/0?a=b');
  t.equal(await get('?KEY=t'), 401, 'the name as it is written');
  t.equal(await get(''), 401);
  t.equal(await get('?key=t&key=t'), 400);
  t.equal(await get('?key=t&k%65y=u'), 400);
  t.equal(await get('?key='), 400);
  t.equal(await get('?key=t', { authorization: 'Bearer t' }), 400);
});

t.test('token_from cookie: once', async (t) => {
  const gate = await start(t, [{ token_from: { cookie: 'session' } }], { t: {} });
  const get = async (cookie: string) => (await ask(gate, '/0', { headers: { cookie } })).status;
  t.equal(await get('session=t'), 200);
  t.equal(await get('a=b; session="t"; c=d'), 200);
  t.equal(await get('Session=t'), 401);
  t.equal(await get('xsession=t; session2=t'), 401);
  t.equal(await get('session=t; session=u'), 400);
  t.equal(await get('session='), 400);
});
