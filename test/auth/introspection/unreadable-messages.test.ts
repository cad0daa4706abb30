import { mock } from 'node:test';
import t from 'tap';
import { UnreadableMessages } from '../../../src/auth/introspection/unreadable-messages.js';

t.test(
  'messages that cannot be read empty the cache at most once a second, and the last one counts',
  async (t) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    t.teardown(() => mock.timers.reset());
    let times = 0;
    const messages = new UnreadableMessages(() => times++);
    messages.arrived();
    t.equal(times, 1, 'the first at once');
    for (let i = 0; i < 1_000; i++) messages.arrived();
    t.equal(times, 1);
    mock.timers.tick(1_000);
    t.equal(times, 2, 'those since, together');
    messages.arrived();
    t.equal(times, 2);
    mock.timers.tick(1_000);
    t.equal(times, 3);
    mock.timers.tick(1_000);
    t.equal(times, 3, 'none has come');
    messages.arrived();
    t.equal(times, 4, 'at once again');
  },
);
