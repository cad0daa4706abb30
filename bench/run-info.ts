import { spawnSync } from 'node:child_process';
import { arch, cpus, loadavg, release, totalmem } from 'node:os';

/** Where, when and of what a run was made. */
export interface RunInfo {
  /** Model of the processor, number of processors, memory in GiB, operating system. */
  readonly machine: string;
  readonly node: string;
  /** ISO 8601, the day alone. */
  readonly date: string;
  /** Short hash of the checkout, `unknown` outside of one. */
  readonly commit: string;
  /** Processes that wanted a processor when the run began, and how many processors there are. */
  readonly load: number;
  readonly processors: number;
  readonly rounds: number;
  /** Seconds a round. */
  readonly seconds: number;
}

/** Says where a run is made; called when it begins, before it makes load of its own. */
export function runInfo(rounds: number, seconds: number): RunInfo {
  const processors = cpus();
  const { stdout, status } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' });
  const model = processors[0]?.model.trim() || arch();
  return {
    machine: `${model}, ${processors.length} processors, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${release()}`,
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
    commit: status === 0 ? stdout.trim() : 'unknown',
    load: Math.round((loadavg()[0] as number) * 10) / 10,
    processors: processors.length,
    rounds,
    seconds,
  };
}
