import { join } from 'node:path';
import t from 'tap';
import { EXAMPLES } from './file-examples.js';
import { complaint, judgeFiles, runFileCase } from './file-runs.js';

t.test('each example loads as it stands', async (t) => {
  const folder = t.testdir({});
  for (const [index, example] of EXAMPLES.entries()) {
    const content = example.files[example.changed];
    const fileCase = { example, text: JSON.stringify(content, null, 1) };
    const run = await runFileCase(fileCase, join(folder, String(index)));
    t.notMatch(run.output, / error /, example.name);
    t.equal(complaint(fileCase, run), undefined, example.name);
  }
});

t.test('no file ends a command with a stack trace, an unreadable message or a secret', async (t) => {
  t.same(await judgeFiles(1, 250, t.testdir({})), []);
});
