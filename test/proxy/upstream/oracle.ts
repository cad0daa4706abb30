import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { root } from '../../root.js';
import { summarize } from '../../summary.js';
import { DIFFERENCES } from './differences.js';

/** How long one file may take, in seconds: what differs is often waited for in vain. */
const PATIENCE = 400;

/** The files of test/proxy whose tests start a gateway in their own process, as `websocket/handshake`. */
export function behaviourTests(): string[] {
  const folder = join(root, 'test/proxy');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.test.ts') && !name.startsWith('upstream/'))
    .filter((name) =>
      /startTestGateway|startTlsGateway|startHolding|hostileRun/.test(
        readFileSync(join(folder, name), 'utf8'),
      ),
    )
    .map((name) => name.replace(/\.test\.ts$/, ''))
    .sort();
}

/**
 * Runs a file with gateways that send requests by undici. What fails must be listed, and what is listed must fail.
 *
 * @param file of test/proxy, without `.test.ts`
 */
export async function compare(t: Test, file: string): Promise<void> {
  const path = join(root, 'build/test/proxy', `${file}.test.js`);
  t.ok(existsSync(path), path);
  const child = spawn(process.execPath, [path], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      ...process.env,
      UPSTREAM_CLIENT: 'undici',
      TAP_TIMEOUT: String(PATIENCE),
      TAP_CHILD_ID: undefined,
    },
  });
  t.teardown(() => child.kill());
  const exit = once(child, 'exit').then(([code, signal]) => (signal ?? code) as number | NodeJS.Signals);
  const { passed, failures } = await summarize(child.stdout, exit);
  t.ok(passed > 0, `${passed} assertions hold with both`);
  const expected = DIFFERENCES.flatMap(({ subject, tests, byChance = false }) =>
    tests.filter(([of]) => of === file).map(([, assertions]) => ({ subject, assertions, byChance })),
  );
  for (const { name, details } of failures) {
    const listed = expected.some(({ assertions }) => assertions.test(name));
    t.ok(listed, listed ? name : `another difference: ${name}\n${details.join('\n')}`);
  }
  for (const { subject, assertions, byChance } of expected) {
    if (byChance) continue;
    t.ok(
      failures.some(({ name }) => assertions.test(name)),
      `still so: ${subject}`,
    );
  }
}
