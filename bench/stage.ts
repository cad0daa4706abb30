import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../test/stack/port.js';
import { type Child, listening, start } from './child.js';
import type { Contender, TlsFiles } from './contender.js';
import type { Harvest, Order } from './load.js';
import type { Sample } from './report.js';
import { usageOf } from './usage.js';

/** A contender that listens. */
export interface Running {
  readonly contender: Contender;
  readonly child: Child;
  readonly port: number;
  /** Where its files are. */
  readonly folder: string;
  /** When it was started, by `performance.now()`. */
  readonly started: number;
}

/** Everything that runs while something is measured. */
export interface Stage {
  readonly backend: Child;
  readonly load: Child;
  /**
   * The backend, which can load a gateway as well. It takes the place of `load` where latency is measured: two busy
   * processes on one core wait for each other's time slice, which is some 3 ms, and that would count for the gateway.
   */
  readonly both: Child;
  readonly running: readonly Running[];
  /** Contenders that did not start, and why. */
  readonly failed: ReadonlyMap<string, string>;
  /**
   * Starts one more; it ends with the stage at the latest.
   *
   * @throws Error if it does not listen
   */
  launch(contender: Contender): Promise<Running>;
}

/** How a stage is set. */
export interface Setting {
  /** Where each contender gets a folder of its own. */
  readonly folder: string;
  /** Of the authorization server, in milliseconds. */
  readonly delay: number;
  /** A folder for profiles of Node contenders. */
  readonly profile?: string | undefined;
  /** The contenders listen with TLS. */
  readonly tls?: TlsFiles;
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/**
 * Starts the backend, the load and the contenders, and ends them all whatever happens.
 *
 * @returns what the work returns
 * @throws Error if none of the contenders starts
 */
export async function staged<T>(
  { folder, delay, profile, tls }: Setting,
  field: readonly Contender[],
  work: (stage: Stage) => Promise<T>,
): Promise<T> {
  mkdirSync(folder, { recursive: true });
  const children: Child[] = [];
  const born = (child: Child): Child => {
    children.push(child);
    return child;
  };
  try {
    const backend = born(start(1, process.execPath, [here('backend.js'), String(delay)]));
    const ports = JSON.parse(await backend.ask()) as Record<'upstream' | 'authorization' | 'secure', number>;
    const load = born(start(1, process.execPath, [here('load.js')]));
    const launch = async (contender: Contender): Promise<Running> => {
      const own = mkdtempSync(join(folder, `${contender.name.replaceAll(/[^a-z0-9]+/g, '-')}-`));
      // Apache and nginx leave root.
      chmodSync(own, 0o755);
      const port = await freePort();
      const surroundings = {
        folder: own,
        port,
        upstreamPort: ports.upstream,
        introspectionUrl: `http://127.0.0.1:${ports.authorization}/introspect`,
        secureIntrospectionUrl: `https://127.0.0.1:${ports.secure}/introspect`,
        ...(profile === undefined ? {} : { profile }),
        ...(tls === undefined ? {} : { tls }),
      };
      const started = performance.now();
      const child = born(await contender.start(surroundings));
      try {
        await listening(port, contender.patience);
      } catch {
        const log = join(own, 'log');
        const said = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').at(-1) : 'nothing';
        throw new Error(`did not listen; the last that it said: ${said?.slice(0, 300)}`);
      }
      return { contender, child, port, folder: own, started };
    };
    const running: Running[] = [];
    const failed = new Map<string, string>();
    for (const contender of field) {
      try {
        running.push(await launch(contender));
      } catch (error) {
        failed.set(contender.name, (error as Error).message);
      }
    }
    if (running.length === 0) throw new Error(`nobody started: ${[...failed].join('; ')}`);
    return await work({ backend, load, both: backend, running, failed, launch });
  } finally {
    for (const child of children.reverse()) await child.stop();
  }
}

/** Loads one contender for one round. */
export async function measure(
  { child, port }: Running,
  { load, backend }: Stage,
  order: Omit<Order, 'port'>,
): Promise<Sample> {
  await backend.ask('count');
  const before = usageOf(child.pid);
  const harvest = JSON.parse(await load.ask(JSON.stringify({ ...order, port }))) as Harvest;
  const after = usageOf(child.pid);
  return {
    cpu: (after.cpu - before.cpu) / harvest.requests,
    rate: harvest.requests / harvest.seconds,
    p50: harvest.p50,
    p99: harvest.p99,
    p999: harvest.p999,
    busy: (after.cpu - before.cpu) / 1e6 / harvest.seconds,
    rss: after.rss / 2 ** 20,
    introspections: Number(await backend.ask('count')),
    requests: harvest.requests,
    statuses: harvest.statuses,
  };
}
