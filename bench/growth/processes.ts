import { scopegate } from '../contenders/scopegate.js';
import { median, row } from '../report.js';
import { measure, type Running, type Stage, staged } from '../stage.js';
import { type Memory, memoryOf } from '../usage.js';

/** What several gateways on one machine hold in memory, all together, in MiB. */
export interface ProcessMemory {
  readonly processes: number;
  /** A moment after their start, when each has answered one request. */
  readonly rest: Memory;
  /** After load, which leaves in each its part of a cache of tokens. */
  readonly load: Memory;
}

const PROCESSES = [1, 2, 4] as const;
const MOST_ROUNDS = 3;
const CONNECTIONS = 64;
/** Tokens in use at each. */
const TOKENS = 10_000;

/**
 * Starts so many gateways for each step, round by round, and looks at their memory before and after load.
 *
 * @param seconds of load for each gateway
 */
export async function measureProcesses(
  folder: string,
  rounds: number,
  seconds: number,
): Promise<ProcessMemory[]> {
  const steps = PROCESSES.map((processes) => ({
    processes,
    samples: [] as Omit<ProcessMemory, 'processes'>[],
  }));
  for (let round = 0; round < Math.min(rounds, MOST_ROUNDS); round++) {
    for (const { processes, samples } of steps) {
      const field = Array.from({ length: processes }, (_, i) => ({ ...scopegate, name: `process ${i + 1}` }));
      await staged({ folder: `${folder}-${round}-${processes}`, delay: 0 }, field, async (stage) => {
        samples.push(await look(stage, seconds));
      });
    }
    console.log(`memory of processes ${round + 1}`);
  }
  return steps.map(({ processes, samples }) => ({
    processes,
    rest: middle(samples.map(({ rest }) => rest)),
    load: middle(samples.map(({ load }) => load)),
  }));
}

async function look(stage: Stage, seconds: number): Promise<Omit<ProcessMemory, 'processes'>> {
  const { running } = stage;
  const order = { connections: CONNECTIONS, path: '/get', tokens: TOKENS };
  for (const one of running) await measure(one, stage, { ...order, requests: 1, duration: seconds });
  const rest = together(running);
  for (const one of running) await measure(one, stage, { ...order, duration: seconds });
  return { rest, load: together(running) };
}

function together(running: readonly Running[]): Memory {
  const all = running.map(({ child }) => memoryOf(child.pid));
  const sum = (key: keyof Memory): number => all.reduce((total, memory) => total + memory[key], 0);
  return { rss: sum('rss'), pss: sum('pss') };
}

function middle(memories: readonly Memory[]): Memory {
  return { rss: median(memories.map(({ rss }) => rss)), pss: median(memories.map(({ pss }) => pss)) };
}

/** Medians. */
export function processesTable(memories: readonly ProcessMemory[]): string {
  return [
    '',
    'memory of all processes in MiB: resident, and with what they share counted once',
    row('processes', 'at rest', 'once', 'after load', 'once'),
    ...memories.map(({ processes, rest, load }) =>
      row(String(processes), ...[rest.rss, rest.pss, load.rss, load.pss].map((mib) => mib.toFixed(0))),
    ),
  ].join('\n');
}
