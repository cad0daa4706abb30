import t from 'tap';
import { testAdvisories, testForgedForwarding } from '../proxy/advisories.js';
import { saying } from '../proxy/front.js';
import { request } from '../proxy/raw.js';
import { sendRaw } from '../wire.js';
import { startTestApp } from './app.js';
import { START, start } from './pitfalls-setup.js';

t.test('CVE-2026-3635 host and protocol are not believed from a peer that is not trusted', async (t) => {
  for (const server of [{}, { trustProxy: true }]) {
    const settings = { trustedProxies: ['192.0.2.0/24'] };
    await testForgedForwarding(t, await startTestApp(t, { ...START, server, settings }));
  }
});

testAdvisories(t, start);

t.test('Location and repeated fields pass unchanged', async (t) => {
  const { port } = await saying(
    t,
    start,
    'HTTP/1.1 302 Found\r\nLocation: /login?next=/\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Name: caf\xc3\xa9\r\n' +
      'Link: </a>\r\nLink: </b>\r\nContent-Length: 0\r\n\r\n',
  );
  const { answers } = await sendRaw(port, request('GET /'));
  const { headers } = answers[0] ?? {};
  t.same(headers?.get('location'), ['/login?next=/']);
  t.same(headers?.get('set-cookie'), ['a=1', 'b=2']);
  t.same(headers?.get('link'), ['</a>', '</b>']);
  t.same(headers?.get('x-name'), ['caf\xc3\xa9'], 'byte for byte');
});

t.test('methods that no rule can have never reach an upstream', async (t) => {
  const app = await start(t);
  for (const method of ['TRACE', 'PROPFIND', 'QUERY', 'get']) {
    const { answers } = await sendRaw(app.port, request(`${method} /`));
    t.ok([400, 404, 405].includes(answers[0]?.status ?? 0), `${method}: ${answers[0]?.status}`);
  }
  t.equal(app.upstream.received.length, 0);
});
