import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { loadSettings } from '../../src/config/settings.js';
import { available } from '../require.js';
import { root } from '../root.js';

const folder = join(root, 'config/systemd');
const UNITS = ['scopegate.service', 'scopegate@.service', 'scopegate.target'] as const;

/** What systemd warns of; 10 is no protection at all. */
const MOST_EXPOSED = 2;

t.test('systemd knows every line of the units, and finds the services hardened', (t) => {
  if (!available(t, 'systemd')) {
    t.end();
    return;
  }
  const place = mkdtempSync(join(tmpdir(), 'scopegate-units-'));
  t.teardown(() => rmSync(place, { recursive: true }));
  for (const unit of UNITS) {
    // Where the tests run, the program is not installed.
    const text = readFileSync(join(folder, unit), 'utf8').replaceAll(
      '/usr/local/bin/scopegate',
      process.execPath,
    );
    writeFileSync(join(place, unit.replace('@', '@1')), text.replaceAll('/usr/bin/curl', process.execPath));
  }
  for (const unit of ['scopegate.service', 'scopegate@1.service']) {
    const verified = spawnSync('systemd-analyze', ['verify', '--man=no', join(place, unit)], {
      encoding: 'utf8',
    });
    t.same(
      `${verified.stdout}${verified.stderr}`.split('\n').filter((line) => line.startsWith('scopegate')),
      [],
      unit,
    );
    const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', join(place, unit)], {
      encoding: 'utf8',
    });
    const exposure = Number(/exposure level for [^:]+: (\d+\.\d)/.exec(stdout)?.[1]);
    t.ok(exposure < MOST_EXPOSED, `${unit}: ${exposure}`);
  }
  t.end();
});

t.test('a unit lets scopegate do what it does', (t) => {
  for (const unit of UNITS.slice(0, 2)) {
    const text = readFileSync(join(folder, unit), 'utf8');
    const filters = [...text.matchAll(/^SystemCallFilter=(.*)$/gm)].map(([, filter]) => filter);
    t.same(
      filters,
      ['@system-service', '~@privileged @resources', 'setpriority'],
      'the thread that reloads rules lowers its priority, which @resources has',
    );
    t.notMatch(text, /^MemoryDenyWriteExecute=/m, 'Node aborts with it');
    t.match(text, /^AmbientCapabilities=$/m);
    const [head = ''] = text.split('[Service]');
    t.match(head, /^StartLimitIntervalSec=0$/m, 'it starts again however often it fails');
  }
  t.end();
});

t.test(
  'the documented commands enable what systemd starts at boot, and stop a rolling restart that fails',
  (t) => {
    const page = readFileSync(join(root, 'docs/scale.md'), 'utf8');
    const unit = readFileSync(join(folder, 'scopegate@.service'), 'utf8');
    for (const text of [page, unit]) {
      t.match(text, /systemctl enable scopegate\.target scopegate@1 /);
      t.match(text, /systemctl restart scopegate@\$i \|\| break; done/);
    }
    t.end();
  },
);

t.test('a unit sets settings that there are, and waits longer than the drain takes', (t) => {
  const { settings } = loadSettings(join(root, 'config/folder.yaml'), {});
  for (const unit of UNITS.slice(0, 2)) {
    const text = readFileSync(join(folder, unit), 'utf8');
    const environment = Object.fromEntries(
      [...text.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [
        name,
        value.replaceAll('%i', '1'),
      ]),
    );
    const { findings } = loadSettings(join(root, 'config/folder.yaml'), environment);
    t.same(
      findings.filter(({ message }) => !message.includes('needs Node')),
      [],
      Object.keys(environment).join(' '),
    );
    const stop = Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1]) * 1000;
    const { drainGrace = 0, drainTimeout = 0 } = settings?.server ?? {};
    t.ok(stop > drainGrace + drainTimeout, `${stop}`);
  }
  t.end();
});
