import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scope } from '../gateway.js';

/** A control group whose processes have so much memory and no more, as a container has. */
export interface MemoryGroup {
  /** Arguments of `/bin/sh` before those of Node: the shell enters the group and becomes Node. */
  readonly arguments: readonly string[];
  /** The most bytes that were in use. */
  peak(): number;
}

/** Names of the files, by version of control groups. */
const VERSIONS = [
  { root: '/sys/fs/cgroup/memory', limit: 'memory.limit_in_bytes', peak: 'memory.max_usage_in_bytes' },
  { root: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak' },
] as const;

/**
 * Makes one; it ends with the test.
 *
 * @returns undefined if this process may make none
 */
export function makeMemoryGroup(t: Scope, bytes: number): MemoryGroup | undefined {
  for (const { root, limit, peak } of VERSIONS) {
    const folder = join(root, `scopegate-test-${process.pid}`);
    try {
      mkdirSync(folder);
    } catch {
      continue;
    }
    if (!existsSync(join(folder, limit))) {
      rmdirSync(folder);
      continue;
    }
    writeFileSync(join(folder, limit), String(bytes));
    t.teardown(() => rmdirSync(folder));
    const enter = `echo $$ > ${join(folder, 'cgroup.procs')} && exec "$@"`;
    return {
      arguments: ['-c', enter, 'sh', process.execPath],
      peak: () =>
        existsSync(join(folder, peak)) ? Number(readFileSync(join(folder, peak), 'utf8')) : Number.NaN,
    };
  }
  return undefined;
}
