import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format, inspect } from 'node:util';
import t from 'tap';
import { readSecret, Secret } from '../../src/config/secret.js';

t.test('never prints', (t) => {
  const secret = new Secret('hunter2');
  const printed = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect(secret, { showHidden: true, depth: 9 }),
    inspect({ deep: [secret] }, { customInspect: false, showHidden: true }),
    format('%s %o %j', secret, secret, secret),
    Object.values(secret).join(),
  ];
  for (const text of printed) t.notMatch(text, 'hunter2');
  t.match(printed[0], '[secret]');
  t.equal(secret.reveal(), 'hunter2');
  t.end();
});

t.test('comes from a file without its last newline', (t) => {
  const folder = t.testdir({ unix: 'hunter2\n', dos: 'hunter2\r\n', bare: 'hunter2', blank: ' hunter2 \n' });
  for (const name of ['unix', 'dos', 'bare'])
    t.equal(readSecret(join(folder, name)).reveal(), 'hunter2', name);
  t.equal(readSecret(join(folder, 'blank')).reveal(), ' hunter2 ', 'blanks may belong to it');
  t.end();
});

t.test('is refused where the file holds none, without showing what it holds', (t) => {
  const folder = t.testdir({ empty: '', newline: '\n', two: 'hunter2\nhunter3\n', control: 'hunter2\0' });
  for (const name of ['empty', 'newline', 'two', 'control', 'absent']) {
    try {
      readSecret(join(folder, name));
      t.fail(name);
    } catch (error) {
      t.notMatch(String(error), 'hunter', name);
    }
  }
  t.end();
});

t.test('a file that is replaced counts from then on, and one that is gone leaves the last value', (t) => {
  const folder = t.testdir({ secret: 'old\n', next: 'new\n', broken: '' });
  const secret = readSecret(join(folder, 'secret'));
  t.equal(secret.reveal(), 'old');
  renameSync(join(folder, 'next'), join(folder, 'secret'));
  t.equal(secret.reveal(), 'new');
  rmSync(join(folder, 'secret'));
  t.equal(secret.reveal(), 'new');
  renameSync(join(folder, 'broken'), join(folder, 'secret'));
  t.equal(secret.reveal(), 'new', 'an empty file is no secret');
  writeFileSync(join(folder, 'secret'), 'newest');
  t.equal(secret.reveal(), 'newest');
  t.end();
});
