import t from 'tap';
import { namesOf, UnexpectedReply } from '../../src/outbound/redis/commands.js';

t.test('a scan of a store that always has more ends when its purge does', async (t) => {
  const purge = new AbortController();
  let steps = 0;
  const scan = (async function* () {
    for (;;) {
      if (++steps === 1_000) purge.abort(new Error('the purge is over'));
      if (steps > 2_000) throw new Error('the scan goes on');
      yield [`p:${steps}`, 'q:1'];
    }
  })();
  const found: string[] = [];
  await t.rejects(
    async () => {
      for await (const names of namesOf(scan, 'p:', purge.signal)) found.push(...names);
    },
    { message: 'the purge is over' },
  );
  t.equal(found.length, 999, 'the names of the steps before');
  t.notOk(found.includes('q:1'), 'what the store adds of its own is not deleted');
});

t.test('names that are no texts are not deleted', async (t) => {
  for (const names of [[5], 'p:1', [['p:1']], null]) {
    const scan = (async function* () {
      yield names;
    })();
    await t.rejects(async () => {
      for await (const _ of namesOf(scan, 'p:', new AbortController().signal));
    }, UnexpectedReply);
  }
});
