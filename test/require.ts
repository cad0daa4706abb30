import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Test } from 'tap';
import { canReusePort } from '../src/config/sections/listen.js';
import { root } from './root.js';

/** The test suite of Autobahn, where .ci/autobahn has put it. */
export const AUTOBAHN = join(root, 'build/autobahn/bin/wstest');

/** Helm, where .ci/helm has put it, or the machine's own. */
export const HELM = [join(root, 'build/helm/helm'), 'helm'] as const;

/** The TLS scanner, where .ci/sslyze has put it. */
export const SSLYZE = join(root, 'build/sslyze/bin/sslyze');

/** What looks for holes in workflows, where .ci/zizmor has put it, or the machine's own. */
export const ZIZMOR = [join(root, 'build/zizmor/bin/zizmor'), 'zizmor'] as const;

/**
 * What a machine may lack, and how to see whether it is there. The names are those of `TEST_REQUIRE`.
 */
const PROBES = {
  autobahn: () => isExecutable(AUTOBAHN),
  caddy: () => onPath('caddy'),
  chromium: () => onPath('chromium'),
  curl: () => onPath('curl'),
  docker: () => runs('docker', ['compose', 'version']) || onPath('docker-compose'),
  helm: () => isExecutable(HELM[0]) || onPath(HELM[1]),
  haproxy: () => onPath('haproxy'),
  httpbin: () => onPath('gunicorn') && runs('/usr/bin/python3', ['-c', 'import httpbin']),
  // Its `kustomize` is too old for what ships in those that do not name a version of it.
  kubectl: () => /Kustomize Version: v(?:[5-9]|\d\d)/.test(printed('kubectl', ['version', '--client'])),
  nginx: () => onPath('nginx'),
  // As root, because the test's containers are in networks of their own and have limits.
  podman: () => process.getuid?.() === 0 && ['podman', 'runc', 'catatonit'].every(onPath),
  postgresql: () => existsSync('/usr/lib/postgresql'),
  prlimit: () => onPath('prlimit'),
  precommit: () => onPath('pre-commit') && onPath('git'),
  promtool: () => onPath('promtool'),
  redis: () => onPath('redis-server'),
  /** The one of util-linux, which runs a command in a terminal. */
  script: () => printed('script', ['--version']).includes('util-linux'),
  zizmor: () => isExecutable(ZIZMOR[0]) || onPath(ZIZMOR[1]),
  sslyze: () => isExecutable(SSLYZE),
  /** A Node that can share a port; npm has one. */
  reuseport: () => nodeThatSharesPorts() !== undefined,
  systemd: () => onPath('systemd-analyze'),
} as const satisfies Record<string, () => boolean>;

/** Why a test is skipped that needs something. */
function missing(name: string): string {
  return `${name} is not installed`;
}

/** What even `TEST_REQUIRE=all` does without: neither Debian nor npm has it. */
const RARE: readonly Requirement[] = ['autobahn', 'helm'];

/** Why a test is skipped that `TEST_REQUIRE=all` does without. */
export const RARE_MISSING: readonly string[] = RARE.map(missing);

/** A program or service that a test can do without, but that `.ci/run` insists on. */
export type Requirement = keyof typeof PROBES;

/**
 * Whether a test that needs something from outside npm can run here. Where it cannot, the test is skipped with the
 * reason, which `npm test` lists at its end; where `TEST_REQUIRE` names it, the test fails instead: a check that is
 * meant to run must not pass by not running.
 *
 * @param t the test that needs it: it is skipped or failed
 * @returns true where the test can go on; on false it must return at once
 */
export function available(t: Pick<Test, 'fail' | 'pass'>, name: Requirement): boolean {
  if (PROBES[name]()) return true;
  if (required(name)) t.fail(`${name} is required by TEST_REQUIRE and is not installed`);
  else t.pass(`needs ${name}`, { skip: missing(name) });
  return false;
}

/**
 * Skips or fails a test whose program is installed and does not work on this machine.
 *
 * @param why what it says; the closing lines of `npm test` repeat it
 */
export function unavailable(t: Pick<Test, 'fail' | 'pass'>, name: Requirement, why: string): void {
  if (required(name)) t.fail(`${name} is required by TEST_REQUIRE and does not work here: ${why}`);
  else t.pass(`needs ${name}`, { skip: `${name} does not work here: ${why}` });
}

/**
 * Whether `TEST_REQUIRE` insists on something: it is a comma-separated list of names, or `all` for what Debian and npm
 * have. Autobahn's suite needs Python 2.7, and Helm has to be compiled by Go, which they have not: who has it says so.
 *
 * @param name what is asked for; `all` asks whether nothing at all may be skipped
 */
export function required(name: Requirement | 'all'): boolean {
  const names = (process.env.TEST_REQUIRE ?? '').split(',').map((each) => each.trim());
  return names.includes(name) || (names.includes('all') && !RARE.some((rare) => rare === name));
}

let sharing: string | undefined;

/** The path of a Node that has `reusePort`: this one, or what npm brings; undefined where it brings none. */
export function nodeThatSharesPorts(): string | undefined {
  if (canReusePort(process.versions.node)) return process.execPath;
  sharing ??= spawnSync('npx', ['-y', '-p', 'node@24', '--', 'node', '--print', 'process.execPath'], {
    encoding: 'utf8',
    timeout: 120_000,
  }).stdout?.trim();
  return sharing === '' ? undefined : sharing;
}

/** Debian keeps servers in sbin, which a user's PATH need not hold. */
function onPath(program: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.some((folder) => isExecutable(join(folder, program)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function runs(program: string, parameters: readonly string[]): boolean {
  return spawnSync(program, parameters, { stdio: 'ignore', timeout: 20_000 }).status === 0;
}

/** What a program says on standard output; nothing where it is not there. */
function printed(program: string, parameters: readonly string[]): string {
  return spawnSync(program, parameters, { encoding: 'utf8', timeout: 20_000 }).stdout ?? '';
}
