import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Test } from 'tap';

/**
 * What a machine may lack, and how to see whether it is there. The names are those of `TEST_REQUIRE`.
 */
const PROBES = {
  caddy: () => onPath('caddy'),
  chromium: () => onPath('chromium'),
  curl: () => onPath('curl'),
  docker: () => runs('docker', ['compose', 'version']) || onPath('docker-compose'),
  haproxy: () => onPath('haproxy'),
  httpbin: () => onPath('gunicorn') && runs('/usr/bin/python3', ['-c', 'import httpbin']),
  nginx: () => onPath('nginx'),
  prlimit: () => onPath('prlimit'),
  promtool: () => onPath('promtool'),
  redis: () => onPath('redis-server'),
} as const satisfies Record<string, () => boolean>;

/** A program or service that a test can do without, but that `.ci/run` insists on. */
export type Requirement = keyof typeof PROBES;

/**
 * Whether a test that needs something from outside npm can run here. Where it cannot, the test is skipped with the
 * reason; where `TEST_REQUIRE` (a comma-separated list) names it, the test fails instead: a check that is meant to
 * run must not pass by not running.
 *
 * @param t the test that needs it: it is skipped or failed
 * @returns true where the test can go on; on false it must return at once
 */
export function available(t: Pick<Test, 'fail' | 'pass'>, name: Requirement): boolean {
  if (PROBES[name]()) return true;
  if (required().includes(name)) t.fail(`${name} is required by TEST_REQUIRE and is not installed`);
  else t.pass(`needs ${name}`, { skip: `${name} is not installed` });
  return false;
}

function required(): string[] {
  return (process.env.TEST_REQUIRE ?? '').split(',').map((name) => name.trim());
}

/** Debian keeps servers in sbin, which a user's PATH need not hold. */
function onPath(program: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function runs(program: string, parameters: readonly string[]): boolean {
  return spawnSync(program, parameters, { stdio: 'ignore', timeout: 20_000 }).status === 0;
}
