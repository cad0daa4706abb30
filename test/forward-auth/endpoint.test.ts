import t from 'tap';
import { apiRule, rule, startTestGateway } from '../gateway.js';
import { sendRaw } from '../wire.js';

const HEADER = (headers: Readonly<Record<string, string>>) => ({ handler: 'header', config: { headers } });
const COOKIE = (cookies: Readonly<Record<string, string>>) => ({ handler: 'cookie', config: { cookies } });

t.test('a forward-auth response tells each field once, and nothing that it cannot send', async (t) => {
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/plain', ['GET'], 'read'),
      { ...rule('/own', ['GET'], 'read'), mutators: [HEADER({ 'x-user': 'of-the-rule', 'X-Team': 'blue' })] },
      { ...rule('/cookie', ['GET'], 'read'), mutators: [COOKIE({ who: 'me' })] },
    ]),
    settings: {
      forward: { fieldEncoding: 'refuse' },
      decisions: { identity: { 'X-User': 'sub', 'X-Mail': 'mail' } },
    },
    tokens: {
      plain: { scope: 'read', sub: 'alice', mail: 'a@b' },
      odd: { scope: 'read', sub: 'alice', mail: 'jürgen@b' },
    },
  });
  const put = async (path: string, token: string, ...more: string[]) => {
    const head = [`GET ${path} HTTP/1.1`, 'Host: gate.example', `Authorization: Bearer ${token}`, ...more];
    const { answers } = await sendRaw(gate.adminPort, `${head.join('\r\n')}\r\nConnection: close\r\n\r\n`);
    const [answer] = answers;
    return { status: answer?.status, get: (name: string) => answer?.headers.get(name) };
  };

  const plain = await put('/decisions/plain', 'plain', 'Cookie: who=root');
  t.equal(plain.status, 200);
  t.match(gate.log.at(-1), { entrance: 'decisions', decision: 'allow', status: 200 });
  t.same(plain.get('x-user'), ['alice']);
  t.same(plain.get('x-mail'), ['a@b']);
  t.same(plain.get('x-team'), [''], 'so that a proxy overwrites what the client sent');
  t.equal(plain.get('cookie'), undefined, 'the proxy keeps the client’s own');

  const own = await put('/decisions/own', 'plain', 'X-User: root', 'X-Team: root', 'Cookie: b=1');
  t.equal(own.status, 200);
  t.same(own.get('x-user'), ['of-the-rule'], 'not that of the settings beside it');
  t.same(own.get('x-team'), ['blue']);
  t.equal(own.get('cookie'), undefined);

  t.same((await put('/decisions/cookie', 'plain', 'Cookie: who=root; b=1')).get('cookie'), ['b=1; who=me']);
  t.same((await put('/decisions/cookie', 'plain')).get('cookie'), ['who=me']);

  const odd = await put('/decisions/plain', 'odd');
  t.equal(odd.status, 500);
  t.equal(odd.get('x-user'), undefined);
  t.match(gate.log.at(-1), {
    decision: 'deny',
    status: 500,
    rule: 'default/gate#0',
    reason: 'a claim contains a character that cannot be sent',
  });

  for (const path of [
    '/decisionsx',
    '/decisions.',
    '/decisions%2Fplain',
    '/xdecisions/plain',
    '/decisionz',
    '/abcdefghi/decisions',
  ])
    t.equal((await put(path, 'plain')).status, 404, `${path} is no path of the endpoint`);
});
