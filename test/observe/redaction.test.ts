import t from 'tap';
import { AnswerCache } from '../../src/auth/introspection/cache.js';
import { traceOf, withoutQuery } from '../../src/observe/redaction.js';
import { ask } from '../ask.js';
import { startTestGateway } from '../gateway.js';

t.test('a trace says where and what kind, and nothing of the message', async (t) => {
  for (const message of ['MARKER', 'two lines\nMARKER', 'two lines\n    at MARKER', '']) {
    const trace = traceOf(new TypeError(message));
    t.equal(trace.name, 'TypeError');
    t.match(trace.stack, /^at .*redaction\.test\./);
    t.notMatch(JSON.stringify(trace), /MARKER/);
  }
  t.match(traceOf(Object.assign(new Error('MARKER'), { code: 'ECONNRESET' })), {
    name: 'Error',
    code: 'ECONNRESET',
  });
  const renamed = new Error('MARKER');
  renamed.message = 'another message than the one in the stack';
  t.notMatch(JSON.stringify(traceOf(renamed)), /MARKER/);
  t.same(traceOf('MARKER'), { name: 'string', stack: '' });
  t.same(traceOf(undefined), { name: 'undefined', stack: '' });
});

t.test('a URL in the log has neither a query nor credentials', async (t) => {
  for (const [url, shown] of [
    ['http://hydra:4445/admin/oauth2/introspect', 'http://hydra:4445/admin/oauth2/introspect'],
    ['https://as.example', 'https://as.example'],
    ['https://as.example/a?key=MARKER', 'https://as.example/a'],
    ['https://as.example/a?key=\nMARKER', 'https://as.example/a'],
    ['https://as.example/a#MARKER', 'https://as.example/a'],
    ['https://MARKER:MARKER@as.example/a', 'https://as.example/a'],
    ['HTTPS://MARKER@as.example?MARKER', 'HTTPS://as.example'],
    ['http://as.example/a@b', 'http://as.example/a@b'],
  ] as const)
    t.equal(withoutQuery(url), shown);
});

t.test('a fault of our own is 500 for one request and never an allowance', async (t) => {
  const gate = await startTestGateway(t);
  const { find } = AnswerCache.prototype;
  t.teardown(() => {
    AnswerCache.prototype.find = find;
  });
  AnswerCache.prototype.find = () => {
    throw new Error('MARKER');
  };
  const reply = await ask(gate, '/x', { token: 'good-read' });
  AnswerCache.prototype.find = find;
  t.equal(reply.status, 500);
  t.match(JSON.parse(reply.text), { error: { code: 500, reason: 'the gateway failed' } });
  t.equal(gate.upstream.received.length, 0);
  t.match(gate.log, [
    { msg: 'request failed', err: { name: 'Error', stack: /decide/ } },
    { msg: 'decision', decision: 'deny', error: 'internal', status: 500 },
  ]);
  t.notMatch(JSON.stringify(gate.log) + reply.text, /MARKER/);
  t.equal((await ask(gate, '/x', { token: 'good-read' })).status, 200, 'the next request is served');
});

t.test('so is one after the introspection', async (t) => {
  const gate = await startTestGateway(t);
  gate.endpoint.tokens.set('t', { scope: 'read', exp: 4e9 });
  const { set } = AnswerCache.prototype;
  t.teardown(() => {
    AnswerCache.prototype.set = set;
  });
  AnswerCache.prototype.set = () => {
    throw new Error('MARKER');
  };
  const reply = await ask(gate, '/x', { token: 't' });
  AnswerCache.prototype.set = set;
  t.ok(reply.status >= 500, `${reply.status}`);
  t.equal(gate.upstream.received.length, 0);
  t.notMatch(JSON.stringify(gate.log) + reply.text, /MARKER/);
});
