import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { RereadFilesWatch } from '../../src/app/reread-files.js';
import { loadSettings } from '../../src/config/settings.js';
import { fakeClock } from '../clock.js';
import { makeCertificate } from '../stack/certificate.js';

const identity = await makeCertificate(['as.example']);

/** Settings whose secrets and keys lie in files, and a watch over them that logs into an array. */
function watching(t: Test) {
  const folder = t.testdir({
    secret: 'one\n',
    admin: 'purge-token\n',
    ca: identity.cert,
    rules: {},
    'settings.yaml': JSON.stringify({
      rules: ['./rules'],
      admin: { tokenFile: './admin' },
      introspection: {
        url: 'https://as.example/introspect',
        tls: { ca: './ca' },
        clientAuth: { method: 'basic', clientId: 'gate', clientSecretFile: './secret' },
      },
    }),
  });
  const { settings, findings } = loadSettings(join(folder, 'settings.yaml'), {});
  if (settings === undefined) throw new Error(JSON.stringify(findings));
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  const clock = fakeClock();
  const watch = new RereadFilesWatch(settings, clock, pino({ base: null, timestamp: false }, { write }));
  const file = (name: string) => join(folder, name);
  return { watch, lines, clock, file, settings };
}

t.test('a rotated secret is in the log once, whether or not a request uses it', (t) => {
  const { watch, lines, file } = watching(t);
  watch.sample();
  t.same(lines, []);
  writeFileSync(file('next'), 'two-hunter2\n');
  renameSync(file('next'), file('secret'));
  watch.sample();
  watch.sample();
  t.same(lines, [{ level: 30, file: file('secret'), msg: 'file read again' }]);
  t.same(watch.failures, []);
  t.end();
});

for (const [what, name, breaks, cause] of [
  ['emptied', 'secret', (file: string) => writeFileSync(file, ''), 'the file is empty'],
  ['deleted', 'secret', (file: string) => rmSync(file), 'does not exist'],
  [
    'not text',
    'admin',
    (file: string) => writeFileSync(file, Buffer.from([0xff, 0xfe])),
    'is not UTF-8 text',
  ],
  ['no certificate', 'ca', (file: string) => writeFileSync(file, 'hunter2\n'), /certificate/],
] as const) {
  t.test(`a file that is ${what} is warned of once, and is in trouble until it is whole`, (t) => {
    const { watch, lines, clock, file, settings } = watching(t);
    const whole = name === 'ca' ? identity.cert : 'one\n';
    breaks(file(name));
    watch.sample();
    t.same([lines, watch.failures], [[], []], 'it may be about to be replaced');
    const at = clock.wall();
    clock.advance(1_000);
    watch.sample();
    const warning = {
      level: 40,
      file: file(name),
      cause,
      msg: 'file not read again: the old value stays in use',
    };
    t.match(lines, [{ ...warning, at }]);
    t.match(watch.failures, [{ file: file(name), cause, at }], 'from the second look on');
    watch.sample();
    t.equal(lines.length, 1);
    t.equal(watch.failures.length, 1);
    t.notMatch(JSON.stringify([lines, watch.failures]), /hunter2/);
    t.equal(settings.admin.token?.reveal(), 'purge-token', 'the old value stays in use');
    writeFileSync(file(name), whole);
    watch.sample();
    t.same(watch.failures, []);
    t.equal(lines.at(-1)?.msg, 'file read again');

    breaks(file(name));
    clock.advance(1_000);
    watch.sample();
    t.same([lines.length, watch.failures], [2, []], 'what was whole may be replaced again');
    const again = clock.wall();
    watch.sample();
    t.match(lines.slice(2), [{ ...warning, at: again }]);
    t.match(watch.failures, [{ file: file(name), cause, at: again }]);
    t.end();
  });
}
