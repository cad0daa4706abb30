import { setPriority } from 'node:os';

/**
 * The niceness of a thread in the background. The thread that serves has 0, so it gets most of the CPU time
 * if both need it.
 */
const NICENESS = 10;

/**
 * Lowers the priority of the calling thread. Where a sandbox forbids that (systemd's `SystemCallFilter=~@resources`
 * answers EPERM), the thread works with the priority that it has: rules that load a little less politely are better
 * than rules that cannot load.
 *
 * @param set sets the niceness of a process, 0 for the calling one; throws where it may not
 */
export function lowerPriority(set: (process: number, niceness: number) => void = setPriority): void {
  // On Linux this sets the priority of the thread, on other systems that of the whole process. So it is set
  // only on Linux.
  if (process.platform !== 'linux') return;
  try {
    set(0, NICENESS);
  } catch {
    // The priority stays as it is.
  }
}
