import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadOptions } from '../../src/commands/load.js';
import type { Finding } from '../../src/document/finding.js';
import type { Rule, RuleTable } from '../../src/model/rule.js';
import { readRuleFiles, readUnchanged } from '../../src/rules/files.js';
import { loadRules } from '../../src/rules/load.js';
import { createReloader, type ReloadState } from '../../src/rules/reload.js';
import { atOnce } from '../../src/rules/slices.js';
import { type WatchOptions, watchFiles } from '../../src/rules/watch.js';
import { type ConfigMap, mountConfigMap } from '../configmap.js';
import { apiRule, rule } from '../gateway.js';
import { settingsFor } from '../settings.js';
import { until } from '../until.js';

const one = apiRule('a.example', [rule('/one', ['GET'], 'read')]);
const two = apiRule('a.example', [rule('/two', ['GET'], 'read')]);
const broken = '{ kind: APIRule, ';

const WATCH: WatchOptions = { settle: 5, poll: 0, maxBytes: 1e6 };

function mounted(t: { teardown(end: () => void): void }, text = one): ConfigMap {
  const map = mountConfigMap({ 'a.yaml': text });
  t.teardown(() => map.remove());
  return map;
}

interface Reloads {
  reload(): Promise<ReloadState | undefined>;
  path(): string | undefined;
  readonly states: ReloadState[];
}

async function reloader(folder: string): Promise<Reloads> {
  const options = loadOptions(settingsFor([folder]), 1);
  const load = async (version: number) => loadRules([folder], { ...options, version });
  const first = (await load(1)).table;
  if (first === undefined) throw new Error('the first set must load');
  let table = first;
  const states: ReloadState[] = [];
  const { reload } = createReloader(first, {
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
  const { reload, path } = await reloader(map.folder);
  map.update({ 'a.yaml': two });
  t.match(await reload(), { ok: true, version: 2, findings: [] });
  t.equal(path(), '/two');
});

t.test(
  'a broken, empty, half-written or missing file leaves the old set in force and says why',
  async (t) => {
    const map = mounted(t);
    const { reload, path, states } = await reloader(map.folder);
    for (const text of [
      broken,
      '',
      two.slice(0, two.length / 2),
      apiRule('a.example', [rule('/(a+)+', ['GET'], 'read')]),
    ]) {
      map.update({ 'a.yaml': text });
      const state = await reload();
      t.equal(state?.ok, false, text);
      t.equal(state?.version, 1);
      t.ok(state?.findings.some(({ level }: Finding) => level === 'error'));
      t.equal(path(), '/one');
    }
    map.update({});
    t.equal((await reload())?.ok, false, 'a folder whose links lead nowhere');
    t.equal(path(), '/one');
    map.update({ 'a.yaml': two });
    t.equal((await reload())?.ok, true, 'the next good set is taken');
    t.equal(path(), '/two');
    t.equal(states.length, 6);
  },
);

/** Loads that end when the test says so, or are ended. */
function slowReloader(first: RuleTable) {
  const begun: { version: number; finish(path: string): void; readonly isEnded: boolean }[] = [];
  const used: string[] = [];
  const told: ReloadState[] = [];
  const reloads = createReloader(first, {
    load: (version, signal) =>
      new Promise((resolve, reject) => {
        let isEnded = false;
        signal.addEventListener('abort', () => {
          isEnded = true;
          reject(signal.reason as Error);
        });
        begun.push({
          version,
          finish: (path) => resolve({ table: { ...first, version, rules: [named(path)] }, findings: [] }),
          get isEnded() {
            return isEnded;
          },
        });
      }),
    use: ({ rules }) => used.push(rules[0]?.path ?? ''),
    done: (state) => told.push(state),
    now: () => 0,
  });
  return { reloads, begun, used, told };
}

const named = (path: string) => ({ path }) as Rule;
const NO_RULES: RuleTable = { version: 1, rules: [], find: () => undefined };

t.test(
  'a load whose files have changed is ended, and the next one is what everybody waits for',
  async (t) => {
    const { reloads, begun, used, told } = slowReloader(NO_RULES);
    const first = reloads.reload();
    const second = reloads.reload();
    await until(() => begun.length === 2);
    t.equal(begun[0]?.isEnded, true);
    begun[1]?.finish('/new');
    t.match(await first, { ok: true, version: 2 });
    t.equal(await second, await first, 'one outcome for all');
    t.same([used, told.length], [['/new'], 1], 'what was ended is told to nobody');
  },
);

t.test('files that change without end do not keep all loads from ending', async (t) => {
  const { reloads, begun, used } = slowReloader(NO_RULES);
  const asked = [reloads.reload()];
  await until(() => begun.length === 1);
  for (;;) {
    const before = begun.length;
    asked.push(reloads.reload());
    if (begun[before - 1]?.isEnded === false) break;
    await until(() => begun.length > before);
  }
  const last = begun.length;
  t.ok(last > 1, `${last - 1} were ended`);
  begun[last - 1]?.finish('/old');
  await until(() => begun.length > last);
  t.same(used, ['/old'], 'the one that was let end is in force');
  begun[last]?.finish('/new');
  await Promise.all(asked);
  t.same(used, ['/old', '/new'], 'and what came meanwhile is loaded after it');
});

t.test('closing ends a load, and nothing is put in force any more', async (t) => {
  const { reloads, begun, used, told } = slowReloader(NO_RULES);
  const asked = reloads.reload();
  await until(() => begun.length === 1);
  await reloads.close();
  t.equal(begun[0]?.isEnded, true);
  t.equal(await asked, undefined);
  t.equal(await reloads.reload(), undefined);
  t.same([used, told, begun.length], [[], [], 1]);
});

t.test('a loader that throws is a reload that failed', async (t) => {
  const told: ReloadState[] = [];
  const { reload } = createReloader(NO_RULES, {
    load: () => Promise.reject(new Error('a bug')),
    use: () => t.fail('nothing may be put in force'),
    done: (state) => told.push(state),
    now: () => 0,
  });
  t.match(await reload(), { ok: false, version: 1, findings: [{ code: 'load-failed' }] });
  t.match(told[0]?.fault, { message: 'a bug' });
});

t.test('files that keep changing while they are read are no set', async (t) => {
  const map = mounted(t);
  let reads = 0;
  const { findings, files } = readUnchanged([map.folder], 1e6, function* (...args) {
    const found = yield* readRuleFiles(...args);
    map.update({ 'a.yaml': apiRule('a.example', [rule(`/${reads++}`, ['GET'], 'read')]) });
    return found;
  });
  t.match(findings, [{ code: 'unstable-files' }]);
  t.same(files, []);
  t.ok(reads > 2, 'it was tried again');
});

t.test('a digest is of names and contents, not of inodes', async (t) => {
  const map = mounted(t);
  const fingerprint = () => atOnce(readRuleFiles([map.folder], { maxBytes: 1e6, contents: false })).digest;
  const before = fingerprint();
  t.equal(readUnchanged([map.folder], 1e6).digest, before);
  map.update({ 'a.yaml': one });
  t.equal(fingerprint(), before);
  map.update({ 'a.yaml': two });
  t.not(fingerprint(), before);
});

t.test('a named pipe among the rule files is an error, and nobody waits for it', async (t) => {
  const folder = t.testdir({ 'a.yaml': one });
  execFileSync('mkfifo', [join(folder, 'pipe.yaml')]);
  const { files, findings } = atOnce(readRuleFiles([folder], { maxBytes: 1e6, contents: true }));
  t.equal(files.length, 1);
  t.match(findings, [
    { file: join(folder, 'pipe.yaml'), code: 'unreadable-file', message: /no.* regular file/ },
  ]);
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
    let changes = 0;
    const watch = watchFiles([map.folder], WATCH, () => changes++);
    t.teardown(() => watch.close());
    await watch.look();
    change(map);
    await until(() => changes > 0);
    t.pass(name);
  }
});

t.test(
  'a change the file system does not tell of is noticed by looking, and no change is none',
  async (t) => {
    const map = mounted(t);
    let changes = 0;
    const watch = watchFiles([map.folder], { ...WATCH, settle: 1_000_000 }, () => changes++);
    t.teardown(() => watch.close());
    await watch.look();
    t.equal(changes, 0);
    map.update({ 'a.yaml': two });
    await watch.look();
    await watch.look();
    t.equal(changes, 1);
  },
);

t.test('a storm of events is one change', async (t) => {
  const map = mounted(t);
  let changes = 0;
  const watch = watchFiles([map.folder], { ...WATCH, settle: 50 }, () => changes++);
  t.teardown(() => watch.close());
  await watch.look();
  for (let i = 0; i < 100; i++) map.update({ 'a.yaml': i % 2 === 0 ? two : one.replace('/one', `/n${i}`) });
  await until(() => changes > 0);
  await watch.look();
  t.equal(changes, 1);
});

t.test('what changed between the first load and the watch is noticed as well', async (t) => {
  const map = mounted(t);
  const { digest } = readUnchanged([map.folder], 1e6);
  map.update({ 'a.yaml': two });
  let changes = 0;
  const watch = watchFiles([map.folder], { ...WATCH, settle: 1_000_000, seen: digest }, () => changes++);
  t.teardown(() => watch.close());
  await watch.look();
  t.equal(changes, 1);
});
