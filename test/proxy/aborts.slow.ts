import { readFileSync } from 'node:fs';
import t from 'tap';
import { ask } from '../ask.js';
import { startChild } from '../child.js';
import { startIntrospection } from '../introspection.js';
import { until } from '../until.js';
import { startUpstream } from '../upstream.js';
import { sendRaw } from '../wire.js';
import { dawdler, leave } from './aborts.js';
import { FORWARD_RULES } from './raw.js';

const ABORTS = 10_000;

t.test(
  '10,000 clients leave at random moments: nothing stays behind, not even memory',
  { timeout: 600_000 },
  async (t) => {
    const endpoint = await startIntrospection({ 'good-read': { scope: 'read' } });
    const upstream = await startUpstream(dawdler(3));
    t.teardown(() => Promise.all([endpoint.close(), upstream.close()]));
    const gate = await startChild(
      t,
      {
        services: { default: upstream.url },
        introspection: { url: endpoint.url },
        matching: { overlap: 'specific' },
      },
      FORWARD_RULES,
      // A heap that is let grow would hide what stays behind among what is not yet swept.
      { NODE_OPTIONS: '--max-semi-space-size=2 --max-old-space-size=128' },
    );
    // The gateway hears of the last that left after they are gone; what it was about to ask for them, it asks until then.
    const nothingLeft = async (): Promise<void> => {
      // Connections are accepted in the order in which they came, and on a busy machine thousands may wait that have been
      // left: when this one is answered, none does.
      const last = 'GET / HTTP/1.1\r\nHost: none.example\r\n\r\n';
      const { answers } = await sendRaw(gate.port, last, { timeout: 60_000 });
      t.equal(answers[0]?.status, 404);
      await until(async () => {
        const { text } = await ask({ url: gate.adminUrl }, '/metrics', { host: '127.0.0.1' });
        return (
          /^scopegate_requests_in_flight 0$/m.test(text) &&
          upstream.sockets.size === 0 &&
          upstream.received.every(({ message }) => message.destroyed)
        );
      });
      upstream.received.length = 0;
    };
    // The first thousands make the heap as large as it needs to be.
    await leave(gate.port, ABORTS / 2, 60, 100, 4);
    await nothingLeft();
    const before = residentBytes(gate.process.pid as number);
    const begun = performance.now();
    await leave(gate.port, ABORTS, 60, 100, 5);
    const seconds = (performance.now() - begun) / 1000;
    const reached = upstream.received.length;
    await nothingLeft();
    const growth = (residentBytes(gate.process.pid as number) - before) / 1_048_576;
    t.comment(
      `${ABORTS} aborts in ${seconds.toFixed(1)} s, ${reached} at the upstream; memory ${growth.toFixed(1)} MiB`,
    );
    t.equal(upstream.sockets.size, 0, 'no connection to the upstream is open');
    const metrics = await ask({ url: gate.adminUrl }, '/metrics', { host: '127.0.0.1' });
    t.match(metrics.text, /^scopegate_requests_in_flight 0$/m, 'no request is pending');
    t.ok(growth < 32, `memory is back where it was: ${growth.toFixed(1)} MiB`);
    t.notMatch(gate.output(), /request failed|uncaught/);
  },
);

/** Resident memory of a process in bytes. */
function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}
