import t from 'tap';
import { ask } from '../ask.js';
import { startChild } from '../child.js';
import { VECTOR_RULES } from '../gateway.js';
import { startIntrospection } from '../introspection.js';
import { startUpstream } from '../upstream.js';

const TOKENS = Array.from({ length: 40 }, (_, i) => `token-${i}`);

t.test('the first introspections do not make V8 optimize the parser of their answers', async (t) => {
  const endpoint = await startIntrospection(
    Object.fromEntries(TOKENS.map((token) => [token, { scope: 'read' }])),
  );
  const upstream = await startUpstream();
  t.teardown(() => Promise.all([upstream.close(), endpoint.close()]));
  const settings = {
    services: { default: upstream.url },
    introspection: { url: endpoint.url },
    matching: { overlap: 'specific' },
  };
  const child = await startChild(t, settings, VECTOR_RULES, {}, ['--trace-wasm-compilation-times']);
  for (const token of TOKENS) t.equal((await ask(child, '/x', { token })).status, 200);
  child.process.kill('SIGTERM');
  t.equal(await child.ended, 0);
  t.match(child.output(), /^Compiled function \S+ using Liftoff/m, 'it has been compiled');
  t.notMatch(child.output(), 'using TurboFan');
});
