import type { Contender } from './contender.js';
import { median } from './report.js';
import { measure, type Running, staged } from './stage.js';

/** What one minute of the soak has brought. */
export interface Minute {
  readonly requests: number;
  /** Resident memory at its end, in MiB. */
  readonly rss: number;
  readonly statuses: Readonly<Record<string, number>>;
}

/** Of a minute of load in seconds: tokens that are known, then tokens that nobody has seen before. */
const KNOWN = 40;
const NEW = 20;

/** Loads one contender as hard as it goes, minute after minute. */
export async function soak(folder: string, contender: Contender, minutes: number): Promise<Minute[]> {
  const taken: Minute[] = [];
  await staged({ folder, delay: 0 }, [contender], async (stage) => {
    const one = stage.running[0] as Running;
    for (let minute = 0; minute < minutes; minute++) {
      const order = { connections: 64, path: '/get' };
      const known = await measure(one, stage, { ...order, duration: KNOWN, tokens: 5_000 });
      const fresh = await measure(one, stage, { ...order, duration: NEW });
      const statuses = { ...known.statuses };
      for (const [status, count] of Object.entries(fresh.statuses)) {
        statuses[status] = (statuses[status] ?? 0) + count;
      }
      const requests = known.requests + fresh.requests;
      taken.push({ requests, rss: fresh.rss, statuses });
      console.log(
        `minute ${minute + 1}/${minutes}: ${requests} requests, ${fresh.rss.toFixed(0)} MiB, ${JSON.stringify(statuses)}`,
      );
    }
  });
  return taken;
}

/** The second quarter, when caches are full, beside the last. */
export function soakTable(taken: readonly Minute[]): string {
  const quarter = Math.max(1, Math.floor(taken.length / 4));
  const of = (part: readonly Minute[]): number => median(part.map(({ rss }) => rss));
  const before = of(taken.slice(quarter, 2 * quarter));
  const after = of(taken.slice(-quarter));
  const requests = taken.reduce((total, minute) => total + minute.requests, 0);
  return `
soak of ${taken.length} minutes, ${requests} requests
  memory in the second quarter ${before.toFixed(0)} MiB, in the last ${after.toFixed(0)} MiB: ${(after / before).toFixed(2)}`;
}
