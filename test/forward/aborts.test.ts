import t from 'tap';
import { startTestGateway } from '../gateway.js';
import { sendRaw } from '../wire.js';
import { dawdler, leave } from './aborts.js';
import { FORWARD_RULES, request, until } from './raw.js';

t.test('hundreds of clients leave at random moments, and nothing stays behind', async (t) => {
  const slow = dawdler(1);
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    respond: (message, response) =>
      message.url === '/good' ? response.end('good') : slow(message, response),
  });
  await leave(gate.port, 400, 12, 120, 2);
  await until(() => gate.upstream.received.every(({ message }) => message.destroyed));
  t.ok(
    gate.upstream.received.length > 20,
    `${gate.upstream.received.length} of them had reached the upstream`,
  );
  await until(() => gate.upstream.sockets.size === 0);
  t.pass('no connection to the upstream is open');
  t.equal((await sendRaw(gate.port, request('GET /good'))).answers[0]?.body.toString(), 'good');
  const crashes = gate.log.filter(({ msg }) => msg === 'request failed');
  t.same(crashes, []);
});
