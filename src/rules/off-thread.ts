import { totalmem } from 'node:os';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Finding, Position } from '../document/finding.js';
import type { Endpoint } from '../model/authorization-server.js';
import { causeOf } from '../observe/redaction.js';
import { isResourceExhaustion } from '../outbound/http-client.js';
import { memoryProblem, timeProblem, whereabouts } from './budget.js';
import { Journal } from './journal.js';
import type { LoadedRules, LoadOptions, Progress } from './load.js';
import { knownBehaviours, learnBehaviours } from './pattern/backtracking.js';
import { inSlices } from './slices.js';
import { assemble, type Piece } from './transfer.js';
import type { LoadReport, LoadTask } from './worker.js';

/** Options for loading rules on another thread. */
export interface OffThreadOptions {
  /** Aborts loading; the promise is then rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** As in `loadRules`, but called only a few times per second. */
  readonly progress?: Progress | undefined;
  /** Whether the thread runs with a lower priority, because requests are served at the same time. */
  readonly inBackground?: boolean;
  /** The thread's heap in MiB; default {@link heapLimit}. */
  readonly heap?: number;
}

/** A rule set, or why there is none. */
export interface LoadedOffThread extends LoadedRules {
  /** The error that ended the thread, if it was a bug of scopegate. */
  readonly fault?: unknown;
}

/** The interval for reporting progress, in milliseconds. */
const PACE = 100;
/** Milliseconds after the timeout in which the thread may end by itself, before it is terminated. */
const GRACE = 1_000;
/**
 * The thread's heap in MiB: `least` if there is room, `most` as the upper limit, and in between a `share` of
 * the memory that the process may use. With less than `smallest`, no thread is started.
 */
const HEAP = { least: 96, most: 1_024, share: 3 / 8, smallest: 16 } as const;
/**
 * MiB that a load needs in addition to the heap of its thread: at the start, and while the gateway serves requests. Then
 * the new set joins the one in force, and the caches may grow meanwhile.
 */
const BESIDES = { start: 32, reload: 80 } as const;
/** MiB of the young generation. Node's own default is 48. */
const YOUNG = 16;

/**
 * The heap limit in MiB of the thread that loads rules. It is a share of the memory of the container, and at
 * most what is free. So scopegate refuses a rule set that is too large before the container is killed.
 *
 * @param available bytes that the process may use; 0 if there is no known limit
 * @param resident bytes that the process already uses
 * @param besides MiB that the load needs in addition
 */
export function heapLimit(
  available: number = process.constrainedMemory(),
  resident: number = residentMemory(),
  besides: number = BESIDES.start,
): number {
  const memory = Math.min(available || Number.POSITIVE_INFINITY, totalmem()) / 2 ** 20;
  const free = memory - resident / 2 ** 20 - besides;
  return Math.floor(Math.min(HEAP.most, Math.max(HEAP.least, memory * HEAP.share), free));
}

function ownHeapLimit(inBackground: boolean): number {
  return heapLimit(undefined, undefined, inBackground ? BESIDES.reload : BESIDES.start);
}

/** Bytes that the process uses; 0 if that cannot be read because no file descriptor is left. */
function residentMemory(): number {
  try {
    return process.memoryUsage.rss();
  } catch {
    return 0;
  }
}

/**
 * Loads rules as `loadRules` does, but reads, checks and proves them on a separate thread. The rest of the
 * work is done on the calling thread, a few milliseconds at a time.
 *
 * @returns the table, or findings; a limit that was exceeded or a failed thread also gives findings
 */
export async function loadOffThread(
  paths: readonly string[],
  options: LoadOptions,
  { signal, progress, inBackground = false, heap = ownHeapLimit(inBackground) }: OffThreadOptions = {},
): Promise<LoadedOffThread> {
  signal?.throwIfAborted();
  if (heap < HEAP.smallest) return { ...tooLittleMemory(paths), digest: '' };
  const journal = new Journal();
  const { port1, port2 } = new MessageChannel();
  const task: LoadTask = {
    paths,
    options: withoutSecrets(options),
    port: port2,
    journal: journal.shared,
    behaviours: knownBehaviours(),
    inBackground,
  };
  const worker = new Worker(new URL('./worker.js', import.meta.url), {
    name: 'rules',
    workerData: task,
    transferList: [port2],
    // The thread inherits nothing from the start of this process: no flags, no loaders, no variables.
    execArgv: [],
    argv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: heap, maxYoungGenerationSizeMb: YOUNG, stackSizeMb: 4 },
  });
  const showing = setInterval(() => {
    const { item } = journal;
    if (item !== undefined) progress?.(item.what, item.done, item.of);
  }, PACE);
  try {
    const outcome = await outcomeOf(worker, options.limits.timeout + GRACE, signal);
    signal?.throwIfAborted();
    if ('report' in outcome) return await take(outcome.report, port1, options, signal);
    await worker.terminate();
    return { ...refusal(paths, outcome, journal, options.limits.timeout, heap), digest: '' };
  } finally {
    clearInterval(showing);
    port1.close();
    await worker.terminate();
  }
}

type Outcome =
  | { readonly report: LoadReport }
  | { readonly ended: 'timeout' | 'aborted' }
  | { readonly ended: 'failed'; readonly error: unknown };

function outcomeOf(worker: Worker, timeout: number, signal: AbortSignal | undefined): Promise<Outcome> {
  return new Promise((resolve) => {
    const abort = () => end({ ended: 'aborted' });
    const timer = setTimeout(() => end({ ended: 'timeout' }), timeout);
    const end = (outcome: Outcome): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      resolve(outcome);
    };
    signal?.addEventListener('abort', abort);
    worker.once('message', (report: LoadReport) => end({ report }));
    worker.on('error', (error) => end({ ended: 'failed', error }));
    worker.once('exit', (code) =>
      end({ ended: 'failed', error: new Error(`the thread that loads rules ended with ${code}`) }),
    );
  });
}

async function take(
  { accepted, findings, digest, behaviours }: LoadReport,
  port: MessagePort,
  options: LoadOptions,
  signal: AbortSignal | undefined,
): Promise<LoadedOffThread> {
  learnBehaviours(behaviours);
  if (!accepted) return { findings, digest };
  const result = await inSlices(assemble(received(port), options), signal);
  return Array.isArray(result) ? { findings: result, digest } : { table: result, findings, digest };
}

/** The pieces that have arrived. Each one is deserialized when it is asked for. */
function* received(port: MessagePort): Generator<Piece> {
  for (;;) {
    const next = receiveMessageOnPort(port) as { readonly message: Piece } | undefined;
    if (next === undefined) return;
    yield next.message;
  }
}

function tooLittleMemory([file = 'rules']: readonly string[]): { findings: Finding[] } {
  const message = 'not enough memory is free to load the rules: raise the memory limit of the container';
  return { findings: [error({ file, line: 1, col: 1 }, 'load-limit', message)] };
}

/** The findings for a load that was terminated; the position is that of the current work item. */
function refusal(
  paths: readonly string[],
  outcome: Exclude<Outcome, { readonly report: LoadReport }>,
  { item, longest }: Pick<Journal, 'item' | 'longest'>,
  timeout: number,
  heap: number,
): { findings: Finding[]; fault?: unknown } {
  const { at = { file: paths[0] ?? 'rules', line: 1, col: 1 } } = item ?? {};
  const where = whereabouts(item && { ...item, ms: Date.now() - item.since }, longest);
  if (outcome.ended !== 'failed') return { findings: [error(at, 'load-limit', timeProblem(timeout, where))] };
  const { code, message: said } = outcome.error as NodeJS.ErrnoException;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return { findings: [error(at, 'load-limit', memoryProblem(heap, where))] };
  }
  if (code === 'ERR_WORKER_INIT_FAILED' || isResourceExhaustion(outcome.error)) {
    const message = `the thread that loads rules cannot be started: ${said}`;
    return { findings: [error(at, 'load-failed', message)] };
  }
  const message = `loading the rules failed: ${causeOf(outcome.error)}: ${where}`;
  return { findings: [error(at, 'load-failed', message)], fault: outcome.error };
}

function error(at: Position, code: string, message: string): Finding {
  return { ...at, level: 'error', code, message };
}

/**
 * The options without secrets, keys and functions, so that they can be sent to another thread. Checking rules
 * does not need these.
 */
function withoutSecrets(options: LoadOptions): LoadOptions {
  const { handlers } = options;
  const { endpoint, servers, ...rest } = handlers;
  return {
    ...options,
    handlers: {
      ...rest,
      endpoint: named(endpoint),
      ...(servers === undefined ? {} : { servers: servers.map(named) }),
    },
  };
}

function named({ url, server, issuer, discovered }: Endpoint): Endpoint {
  return {
    url,
    headers: {},
    auth: { method: 'none' },
    ...(server === undefined ? {} : { server }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(discovered === undefined ? {} : { discovered }),
  };
}
