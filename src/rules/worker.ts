/**
 * The entry point of the thread that reads, checks and proves rules, so that the thread that serves need not
 * wait. `off-thread.ts` starts it.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Finding } from '../document/finding.js';
import { analyseRules } from './analyse.js';
import { LoadBudget } from './budget.js';
import { readUnchanged } from './files.js';
import { Journal } from './journal.js';
import type { LoadOptions } from './load.js';
import { type KnownBehaviours, knownBehaviours, learnBehaviours } from './pattern/backtracking.js';
import { lowerPriority } from './priority.js';
import { dismantle } from './transfer.js';

/** The data that the thread is started with. */
export interface LoadTask {
  readonly paths: readonly string[];
  /** Without secrets and keys, which this thread does not need. */
  readonly options: LoadOptions;
  /** The port that the pieces of an accepted set are sent to. */
  readonly port: MessagePort;
  readonly journal: SharedArrayBuffer;
  /** Whether this thread runs with a lower priority than the one that serves. */
  readonly inBackground: boolean;
  /** The results of earlier pattern analyses. */
  readonly behaviours: KnownBehaviours;
}

/** The last message of the thread. It has sent the pieces of an accepted set before. */
export interface LoadReport {
  readonly accepted: boolean;
  readonly findings: readonly Finding[];
  readonly digest: string;
  readonly behaviours: KnownBehaviours;
}

const { paths, options, port, journal: shared, behaviours, inBackground } = workerData as LoadTask;
if (inBackground) lowerPriority();

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
