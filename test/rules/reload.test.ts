import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadOptions } from '../../src/commands/load.js';
import type { Finding } from '../../src/document/finding.js';
import { loadRules } from '../../src/rules/load.js';
import { createReloader, type ReloadState } from '../../src/rules/reload.js';
import { fingerprint, watchFiles } from '../../src/rules/watch.js';
import { type ConfigMap, mountConfigMap } from '../configmap.js';
import { apiRule, rule } from '../gateway.js';
import { settingsFor } from '../settings.js';

const one = apiRule('a.example', [rule('/one', ['GET'], 'read')]);
const two = apiRule('a.example', [rule('/two', ['GET'], 'read')]);
const broken = '{ kind: APIRule, ';

function mounted(t: { teardown(end: () => void): void }, text = one): ConfigMap {
  const map = mountConfigMap({ 'a.yaml': text });
  t.teardown(() => map.remove());
  return map;
}

function reloader(folder: string): {
  reload(): ReloadState;
  path(): string | undefined;
  states: ReloadState[];
} {
  const options = loadOptions(settingsFor([folder]), 1);
  const load = (version: number): ReturnType<typeof loadRules> =>
    loadRules([folder], { ...options, version });
  const first = load(1).table;
  if (first === undefined) throw new Error('the first set must load');
  let table = first;
  const states: ReloadState[] = [];
  const { reload } = createReloader(first, {
    paths: [folder],
    load,
    use: (next) => {
      table = next;
    },
    done: (state) => states.push(state),
    now: () => 1_790_000_000,
  });
  return { reload, path: () => table.rules[0]?.path, states };
}

t.test('a good set replaces the one in force and has the next version', async (t) => {
  const map = mounted(t);
  const { reload, path } = reloader(map.folder);
  map.update({ 'a.yaml': two });
  t.match(reload(), { ok: true, version: 2, findings: [] });
  t.equal(path(), '/two');
});

t.test(
  'a broken, empty, half-written or missing file leaves the old set in force and says why',
  async (t) => {
    const map = mounted(t);
    const { reload, path, states } = reloader(map.folder);
    for (const text of [
      broken,
      '',
      two.slice(0, two.length / 2),
      apiRule('a.example', [rule('/(a+)+', ['GET'], 'read')]),
    ]) {
      map.update({ 'a.yaml': text });
      const { ok, version, findings } = reload();
      t.notOk(ok, text);
      t.equal(version, 1);
      t.ok(findings.some(({ level }: Finding) => level === 'error'));
      t.equal(path(), '/one');
    }
    map.update({});
    t.notOk(reload().ok, 'a folder whose links lead nowhere');
    t.equal(path(), '/one');
    map.update({ 'a.yaml': two });
    t.ok(reload().ok, 'the next good set is taken');
    t.equal(path(), '/two');
    t.equal(states.length, 6);
  },
);

t.test('files that keep changing while they are read are no set', async (t) => {
  const map = mounted(t);
  const options = loadOptions(settingsFor([map.folder]), 1);
  const first = loadRules([map.folder], options).table;
  if (first === undefined) throw new Error('the first set must load');
  let reads = 0;
  const { reload } = createReloader(first, {
    paths: [map.folder],
    load(version) {
      const loaded = loadRules([map.folder], { ...options, version });
      map.update({ 'a.yaml': apiRule('a.example', [rule(`/${reads++}`, ['GET'], 'read')]) });
      return loaded;
    },
    use: () => t.fail('nothing may be put in force'),
    done: () => {},
    now: () => 0,
  });
  t.match(reload(), { ok: false, version: 1, findings: [{ code: 'unstable-files' }] });
  t.ok(reads > 1, 'it was tried again');
});

t.test('a fingerprint is of names and contents, not of inodes', async (t) => {
  const map = mounted(t);
  const before = fingerprint([map.folder]);
  map.update({ 'a.yaml': one });
  t.equal(fingerprint([map.folder]), before);
  map.update({ 'a.yaml': two });
  t.not(fingerprint([map.folder]), before);
});

t.test('a change is noticed', async (t) => {
  // The watch keeps no process alive, and here nothing else does.
  const alive = setInterval(() => {}, 1_000);
  t.teardown(() => clearInterval(alive));
  const kinds: Record<string, (map: ConfigMap) => void> = {
    "a ConfigMap's ..data swap": (map) => map.update({ 'a.yaml': two }),
    'a file written in place': (map) => writeFileSync(join(map.folder, 'b.yaml'), two),
    "an editor's rename and replace": (map) => {
      writeFileSync(join(map.folder, '.b.yaml.swp'), two);
      renameSync(join(map.folder, '.b.yaml.swp'), join(map.folder, 'b.yaml'));
    },
  };
  for (const [name, change] of Object.entries(kinds)) {
    const map = mounted(t);
    const changed = new Promise<void>((resolve) => {
      const watch = watchFiles([map.folder], { settle: 5, poll: 0 }, resolve);
      t.teardown(() => watch.close());
    });
    change(map);
    await changed;
    t.pass(name);
  }
});

t.test(
  'a change the file system does not tell of is noticed by looking, and no change is none',
  async (t) => {
    const map = mounted(t);
    let changes = 0;
    const watch = watchFiles([map.folder], { settle: 1_000_000, poll: 0 }, () => changes++);
    t.teardown(() => watch.close());
    watch.look();
    t.equal(changes, 0);
    map.update({ 'a.yaml': two });
    watch.look();
    watch.look();
    t.equal(changes, 1);
  },
);

t.test('a storm of events is one change', async (t) => {
  const map = mounted(t);
  let changes = 0;
  await new Promise<void>((resolve) => {
    const watch = watchFiles([map.folder], { settle: 50, poll: 0 }, () => {
      changes++;
      resolve();
    });
    t.teardown(() => watch.close());
    for (let i = 0; i < 100; i++) map.update({ 'a.yaml': i % 2 === 0 ? two : one.replace('/one', `/n${i}`) });
  });
  t.equal(changes, 1);
});
