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

/** How rules are loaded on another thread. */
export interface OffThreadOptions {
  /** Ends it; the promise is then rejected with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** As `loadRules` has it, but told a few times a second. */
  readonly progress?: Progress | undefined;
  /** Whether others come first who want the processor: requests are being served meanwhile. */
  readonly inBackground?: boolean;
  /** MiB of the thread's heap; default {@link heapLimit}. */
  readonly heap?: number;
}

/** A rule set, or why there is none. */
export interface LoadedOffThread extends LoadedRules {
  /** What ended the thread, if that was a bug of scopegate's own. */
  readonly fault?: unknown;
}

/** How often progress is looked at, in milliseconds. */
const PACE = 100;
/** Milliseconds that the thread has to end by itself once its time is up, before it is ended. */
const GRACE = 1_000;
/**
 * MiB of the thread's heap: so much if there is room, at most, and as a share of the memory that the process may use.
 * With less than `smallest` no thread is started.
 */
const HEAP = { least: 96, most: 1_024, share: 3 / 8, smallest: 16 } as const;
/**
 * MiB that a load takes besides the heap of its thread: at the start, and while requests are served, when the new set
 * comes to the one in force, and the caches may grow meanwhile.
 */
const BESIDES = { start: 32, reload: 80 } as const;
/** MiB of it that are for what does not live long; Node's own choice is 48. */
const YOUNG = 16;

/**
 * MiB of heap that a thread that loads rules may have: a part of what the container may use, and no more than is free, so
 * that a rule set that is too large is refused before the container is killed.
 *
 * @param available bytes that the process may use, 0 where nobody says
 * @param resident bytes that it uses already
 * @param besides MiB that the load takes besides
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

/** Bytes that the process uses; 0 if it cannot be read, because there is no file descriptor left for that. */
function residentMemory(): number {
  try {
    return process.memoryUsage.rss();
  } catch {
    return 0;
  }
}

/**
 * Loads rules as `loadRules` does, with the reading, checking and proving on a thread of its own. What the calling
 * thread has left to do, it does a few milliseconds at a time.
 *
 * @returns the table, or findings: also if a limit was exceeded or the thread failed
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
    // Nothing of how this process was started: not its flags, not its loaders, not its variables.
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

/** The pieces that have come, each unpacked when it is asked for. */
function* received(port: MessagePort): Generator<Piece> {
  for (;;) {
    const next = receiveMessageOnPort(port) as { readonly message: Piece } | undefined;
    if (next === undefined) return;
    yield next.message;
  }
}

function tooLittleMemory([file = 'rules']: readonly string[]): { findings: Finding[] } {
  const message =
    'too little of the memory that the process may use is free to load rules: give the container more';
  return { findings: [error({ file, line: 1, col: 1 }, 'load-limit', message)] };
}

/** The findings of a load that was ended, at the place where it was. */
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

/** Options that can be sent to another thread: rules are checked without secrets, keys and functions. */
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
