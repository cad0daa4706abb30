import { readdirSync, readFileSync } from 'node:fs';

/** What a process and its descendants have used so far. */
export interface Usage {
  /** User and system time in microseconds. */
  readonly cpu: number;
  /** Resident memory in bytes, shared pages counted once a process. */
  readonly rss: number;
}

/** Reads the usage of a process tree from /proc; processes that have ended are not in it. */
export function usageOf(root: number): Usage {
  const processes = new Map<number, { parent: number; cpu: number; rss: number }>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      // The command's name stands in parentheses and may hold anything.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const cpu = cpuOf(entry);
      processes.set(Number(entry), { parent: Number(fields[1]), cpu, rss: Number(fields[21]) * 4096 });
    } catch {
      // Ended between the listing and the reading.
    }
  }
  let cpu = 0;
  let rss = 0;
  const tree = [root];
  for (const pid of tree) {
    const process = processes.get(pid);
    if (process === undefined) continue;
    cpu += process.cpu;
    rss += process.rss;
    for (const [child, { parent }] of processes) if (parent === pid) tree.push(child);
  }
  return { cpu, rss };
}

/** What the threads of a process have used, in microseconds: the scheduler counts nanoseconds, `stat` hundredths of a second. */
function cpuOf(pid: string): number {
  return readdirSync(`/proc/${pid}/task`).reduce((total, thread) => {
    const nanoseconds = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0];
    return total + Number(nanoseconds) / 1000;
  }, 0);
}

/**
 * User and system time of one process in microseconds, with the threads that have ended; the kernel counts hundredths of a
 * second.
 */
export function processTimeOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** The most resident memory that one process has had, in bytes. */
export function peakOf(pid: number): number {
  return kibibytes(readFileSync(`/proc/${pid}/status`, 'utf8'), 'VmHWM') * 1024;
}

/** Memory of a process, in MiB. */
export interface Memory {
  /** Resident. */
  readonly rss: number;
  /** Resident, but what n processes share counts as an n-th part for each (`Pss`). */
  readonly pss: number;
}

/** What one process holds in memory now. */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return { rss: kibibytes(text, 'Rss') / 1024, pss: kibibytes(text, 'Pss') / 1024 };
}

function kibibytes(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(text)?.[1]);
}
