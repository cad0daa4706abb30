import type { Test } from 'tap';
import { curl } from '../../stack/shell.js';
import { eventually, status } from './asking.js';
import type { Compose } from './compose.js';
import type { Engine } from './podman.js';

/** Of each replica of docker-compose.yml, its admin port. */
export const REPLICAS = {
  'scopegate-replica-1': 4461,
  'scopegate-replica-2': 4462,
  'scopegate-replica-3': 4463,
} as const;

const NAMES = Object.keys(REPLICAS) as (keyof typeof REPLICAS)[];
const ADDRESS = 'http://httpbin.localhost:4485/headers';
/** Connections, each with one request: so many that the kernel gives each replica some. */
const CONNECTIONS = 40;

/**
 * Tries the profile `replicas` of a stack that is up.
 *
 * @param freshToken gets a new token with the scope `read`
 */
export async function tryReplicas(
  t: Test,
  engine: Engine,
  compose: Compose,
  freshToken: () => Promise<string>,
): Promise<void> {
  for (const name of NAMES) {
    await eventually(
      `${name} is healthy`,
      async () => engine.inspect(await compose.container(name), '.State.Health.Status'),
      (is) => is === 'healthy',
    );
  }
  const pod = await engine.address(await compose.container('replicas-pod'));
  const counted = async (pattern: RegExp): Promise<number[]> => {
    const pages = await Promise.all(NAMES.map((name) => curl(`http://${pod}:${REPLICAS[name]}/metrics`)));
    return pages.map(({ body }) => sum([...body.matchAll(pattern)].map(([, value]) => Number(value))));
  };
  const misses = async (): Promise<number> =>
    sum(await counted(/^scopegate_introspection_lookups_total\{result="miss"\} (\d+)$/gm));

  const token = await freshToken();
  const before = await misses();
  for (let i = 0; i < CONNECTIONS; i++) t.equal(await status(ADDRESS, token), 200);
  t.equal((await misses()) - before, 1, 'one introspection for all of them');
  const served = await counted(/^scopegate_requests_total\{.*\} (\d+)$/gm);
  t.comment(`replicas served ${served.join(', ')}`);
  for (const [index, count] of served.entries()) t.ok(count > 0, NAMES[index] ?? '');

  const container = await compose.container('scopegate-replica-1');
  await engine.podman('stop', '--time', '35', container);
  for (let i = 0; i < CONNECTIONS / 4; i++) t.equal(await status(ADDRESS, token), 200, 'the others go on');
  await engine.podman('start', container);
  await eventually(
    'it serves again',
    () => status(`http://${pod}:${REPLICAS['scopegate-replica-1']}/health/ready`),
    (is) => is === 200,
  );
}

function sum(values: readonly number[]): number {
  return values.reduce((all, each) => all + each, 0);
}
