import { createServer } from 'node:net';
import t from 'tap';
import { FREE, start } from './child.js';

t.test('SIGTERM ends everything as well', async (t) => {
  const { child, ready, exit } = start(t, [...FREE, '--quiet']);
  await ready;
  child.kill('SIGTERM');
  t.equal(await exit, 0);
});

t.test('a taken port ends it at once, in words', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  const { exit, errors, output } = start(t, FREE.slice(1), { STACK_PORT: String(port) });
  t.equal(await exit, 1);
  t.match(errors(), `the gateway cannot listen on 127.0.0.1:${port}: the port is taken.`);
  t.match(errors(), 'npm start -- --port N (or STACK_PORT=N');
  t.notMatch(errors(), /^\s+at /m, 'no stack trace');
  t.notMatch(output(), 'curl');
});
