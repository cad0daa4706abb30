import { createServer } from 'node:net';
import t from 'tap';
import { howToChoose, parts, readOptions, UsageError } from './options.js';
import { FREE, PORTS, startStack } from './stack.js';

t.test('a taken port is told with the way to another, and nothing keeps running', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  for (const part of parts) {
    const ports = { ...FREE, [part]: port };
    const expected = {
      name: 'PortTaken',
      message: `127.0.0.1:${port}: the port is taken. ${howToChoose(part)}`,
    };
    await t.rejects(startStack({ ports, howToChoose }), expected, part);
  }
});

t.test('options go before variables, variables before the usual ports', async (t) => {
  t.strictSame(readOptions([], {}), { ports: PORTS, quiet: false, help: false });
  t.match(readOptions(['--port', '1', '--quiet'], { STACK_PORT: '2', STACK_HTTPBIN_PORT: '3' }), {
    ports: { ...PORTS, gateway: 1, httpbin: 3 },
    quiet: true,
  });
  for (const args of [['--port', 'x'], ['--port', '65536'], ['--port=-1'], ['--nonsense'], ['8443']]) {
    t.throws(() => readOptions(args, {}), new UsageError(), args.join(' '));
  }
  t.throws(() => readOptions([], { STACK_PORT: '1e3' }), { message: /STACK_PORT/ });
});
