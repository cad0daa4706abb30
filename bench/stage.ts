import { mkdirSync } from 'node:fs';
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
}

/** Everything that runs while something is measured. */
export interface Stage {
  readonly backend: Child;
  readonly load: Child;
  readonly running: readonly Running[];
  /** Contenders that did not start, and why. */
  readonly failed: ReadonlyMap<string, string>;
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
 * @throws Error if none of the contenders starts
 */
export async function staged(
  { folder, delay, profile, tls }: Setting,
  field: readonly Contender[],
  work: (stage: Stage) => Promise<void>,
): Promise<void> {
  const children: Child[] = [];
  const born = (child: Child): Child => {
    children.push(child);
    return child;
  };
  try {
    const backend = born(start(1, process.execPath, [here('backend.js'), String(delay)]));
    const ports = JSON.parse(await backend.ask()) as Record<'upstream' | 'authorization' | 'secure', number>;
    const load = born(start(1, process.execPath, [here('load.js')]));
    const running: Running[] = [];
    const failed = new Map<string, string>();
    for (const contender of field) {
      const own = join(folder, contender.name).replaceAll(' ', '-');
      mkdirSync(own, { recursive: true });
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
      const child = born(await contender.start(surroundings));
      try {
        await listening(port);
        running.push({ contender, child, port });
      } catch {
        failed.set(contender.name, `did not listen; see ${join(own, 'log')}`);
      }
    }
    if (running.length === 0) throw new Error(`nobody started: ${[...failed].join('; ')}`);
    await work({ backend, load, running, failed });
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
    rss: after.rss / 2 ** 20,
    introspections: Number(await backend.ask('count')),
    requests: harvest.requests,
    statuses: harvest.statuses,
  };
}
