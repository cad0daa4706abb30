import fc from 'fast-check';
import t from 'tap';
import { Queue } from '../../../src/proxy/upstream/queue.js';

/** Add one, take the first, or let one leave that was ever added. */
const steps = fc.array(
  fc.oneof(
    fc.constant({ step: 'add' } as const),
    fc.constant({ step: 'take' } as const),
    fc.record({ step: fc.constant('leave' as const), which: fc.nat(30) }),
  ),
  { maxLength: 60 },
);

t.test('whoever came first goes first, and whoever leaves is gone', async (t) => {
  fc.assert(
    fc.property(steps, (all) => {
      const queue = new Queue<number>();
      const model: number[] = [];
      const leave: (() => void)[] = [];
      for (const each of all) {
        if (each.step === 'add') {
          model.push(leave.length);
          leave.push(queue.add(leave.length));
        } else if (each.step === 'take') {
          t.equal(queue.take(), model.shift());
        } else if (leave.length > 0) {
          const which = each.which % leave.length;
          leave[which]?.();
          const at = model.indexOf(which);
          if (at !== -1) model.splice(at, 1);
        }
        t.equal(queue.size, model.length);
      }
      for (const item of model) t.equal(queue.take(), item);
      t.equal(queue.take(), undefined);
    }),
  );
});
