/**
 * The entry of the thread that reads, checks and proves rules, so that the thread that serves does not have to wait.
 * `off-thread.ts` starts it.
 */
import { setPriority } from 'node:os';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Finding } from '../document/finding.js';
import { analyseRules } from './analyse.js';
import { LoadBudget } from './budget.js';
import { readUnchanged } from './files.js';
import { Journal } from './journal.js';
import type { LoadOptions } from './load.js';
import { type KnownBehaviours, knownBehaviours, learnBehaviours } from './pattern/backtracking.js';
import { dismantle } from './transfer.js';

/** What the thread is started with. */
export interface LoadTask {
  readonly paths: readonly string[];
  /** Without secrets and keys, which nothing here needs. */
  readonly options: LoadOptions;
  /** For the pieces of an accepted set. */
  readonly port: MessagePort;
  readonly journal: SharedArrayBuffer;
  /** Whether the thread that serves comes first. */
  readonly inBackground: boolean;
  /** What earlier loads have found out about patterns. */
  readonly behaviours: KnownBehaviours;
}

/** What it says in the end; the pieces of an accepted set have been sent before. */
export interface LoadReport {
  readonly accepted: boolean;
  readonly findings: readonly Finding[];
  readonly digest: string;
  readonly behaviours: KnownBehaviours;
}

/** Of a thread in the background; the one that serves has 0 and gets most of the processor where both want it. */
const NICENESS = 10;

const { paths, options, port, journal: shared, behaviours, inBackground } = workerData as LoadTask;
// On Linux this is of the thread, elsewhere of the whole process.
if (inBackground && process.platform === 'linux') setPriority(0, NICENESS);

learnBehaviours(behaviours);
const journal = new Journal(shared);
const [file = 'rules'] = paths;
journal.write(
  { what: 'reading files', done: 0, of: 0, name: file, at: { file, line: 1, col: 1 } },
  undefined,
);

const { timeout, maxBytes } = options.limits;
const budget = new LoadBudget({ timeout, begun: (item, longest) => journal.write(item, longest) });
const { files, findings: unread, digest } = readUnchanged(paths, maxBytes);
const { accepted, findings } = analyseRules(paths, files, unread, options, budget);
if (accepted !== undefined) for (const piece of dismantle(accepted)) port.postMessage(piece);
const report: LoadReport = {
  accepted: accepted !== undefined,
  findings,
  digest,
  behaviours: knownBehaviours(),
};
parentPort?.postMessage(report);
