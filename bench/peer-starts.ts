import { ask } from './agree.js';
import type { Contender } from './contender.js';
import { median, row } from './report.js';
import type { Stage } from './stage.js';
import { TOKEN } from './token.js';
import { usageOf } from './usage.js';

/** What one start took until the first request with a good token was answered with 200. */
export interface PeerStart {
  /** User and system time in milliseconds. */
  readonly cpu: number;
  /** Milliseconds. */
  readonly wall: number;
  /** Resident memory then, in MiB: at rest. */
  readonly rss: number;
}

/** Starts each contender in turn, round by round, alone but for what the stage has running. */
export async function measurePeerStarts(
  stage: Stage,
  contenders: readonly Contender[],
  rounds: number,
): Promise<Map<string, PeerStart[]>> {
  const starts = new Map<string, PeerStart[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      const { child, port, started } = await stage.launch(contender);
      const status = await ask(port, TOKEN, false);
      const wall = performance.now() - started;
      const { cpu, rss } = usageOf(child.pid);
      await child.stop();
      // One start in many that fails must not cost the rest of a long run.
      if (status !== 200) {
        console.log(`start ${round + 1}: ${contender.name} answered ${status}; this start does not count`);
        continue;
      }
      starts.get(contender.name)?.push({ cpu: cpu / 1000, wall, rss: rss / 2 ** 20 });
    }
  }
  return starts;
}

/** Medians. */
export function peerStartTable(starts: ReadonlyMap<string, readonly PeerStart[]>): string {
  const lines = ['', 'until the first answer', row('contender', 'CPU ms', 'wall ms', 'RSS MiB')];
  for (const [name, samples] of starts) {
    const of = (key: keyof PeerStart): string => median(samples.map((sample) => sample[key])).toFixed(0);
    lines.push(row(name, of('cpu'), of('wall'), of('rss')));
  }
  return lines.join('\n');
}
