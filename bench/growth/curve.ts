import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Child, start } from '../child.js';
import { median, ratioOf, type Sample } from '../report.js';
import { measure, type Running, type Stage, staged } from '../stage.js';
import type { CurveKey, Plan } from './plans.js';

/** How the cost of a request grows with something. */
export interface Curve {
  readonly key: CurveKey;
  readonly name: string;
  readonly unit: string;
  readonly points: readonly Point[];
}

/** One step of a curve. */
export interface Point {
  readonly x: number;
  /** CPU microseconds a request, the median. */
  readonly cpu: number;
  readonly least: number;
  readonly most: number;
  /** Of it to that of the first step in the same round, the median. */
  readonly ratio: number;
  /** Resident memory in MiB afterwards. */
  readonly rss: number;
  readonly statuses: readonly string[];
  /** Share of the requests that were not answered with 200, from 0 to 1. */
  readonly refused: number;
  /** In all rounds. */
  readonly introspections: number;
}

/** Rounds that do not count. */
const WARM_UP = 2;
/** The longest that filling a cache may take, in seconds. */
const FILLING = 1_800;

const HOLDER = fileURLToPath(new URL('idle.js', import.meta.url));

/**
 * Measures one curve: its steps take turns, round by round.
 *
 * @param seconds of load a step and round
 */
export async function measureCurve(
  folder: string,
  plan: Plan,
  rounds: number,
  seconds: number,
): Promise<Curve> {
  return await staged({ folder: join(folder, plan.key), delay: 0 }, plan.gateways, async (stage) => {
    const holders: Holder[] = [];
    try {
      await fill(plan, stage);
      for (const { gateway, idle = 0 } of plan.steps) {
        const running = gatewayOf(plan, stage, gateway);
        if (idle > 0 && running !== undefined) holders.push(await hold(running, idle));
      }
      const curve = await takeTurns(plan, stage, rounds, seconds);
      if (holders.some(({ isOpen }) => !isOpen())) throw new Error('an idle connection was closed meanwhile');
      return curve;
    } finally {
      for (const { child } of holders) await child.stop();
    }
  });
}

/** The gateway of a step; undefined if it did not start. */
function gatewayOf({ gateways }: Plan, { running }: Stage, index: number): Running | undefined {
  return running.find(({ contender }) => contender === gateways[index]);
}

/** Sends one request for each of many tokens, so that all are cached. */
async function fill(plan: Plan, stage: Stage): Promise<void> {
  for (const { gateway, order } of plan.steps) {
    const running = gatewayOf(plan, stage, gateway);
    if (order.tokens === undefined || running === undefined) continue;
    const requests = { ...order, requests: order.tokens, duration: FILLING };
    const { introspections } = await measure(running, stage, requests);
    console.log(`${plan.name}: ${introspections} introspected`);
  }
}

/** A process that keeps connections open. */
interface Holder {
  readonly child: Child;
  /** Whether it still has all of them. */
  isOpen(): boolean;
}

/** @throws Error if they cannot be opened: mostly a limit of open files */
async function hold({ port }: Running, count: number): Promise<Holder> {
  const child = start(1, process.execPath, [HOLDER, String(port), String(count)]);
  let open = true;
  const closed = child.ended.then(() => {
    open = false;
    return undefined;
  });
  if ((await Promise.race([child.ask(), closed])) === undefined) {
    throw new Error(`${count} idle connections cannot be opened: \`ulimit -n\` must be above that`);
  }
  return { child, isOpen: () => open };
}

async function takeTurns(plan: Plan, stage: Stage, rounds: number, seconds: number): Promise<Curve> {
  for (const [name, reason] of stage.failed) console.log(`${plan.name}: ${name}: ${reason}`);
  const steps = plan.steps.flatMap(({ x, gateway, order }) => {
    const running = gatewayOf(plan, stage, gateway);
    return running === undefined ? [] : [{ x, running, order, samples: [] as Sample[] }];
  });
  for (let round = -WARM_UP; round < rounds; round++) {
    for (const { running, order, samples } of round % 2 === 0 ? steps : steps.toReversed()) {
      const sample = await measure(running, stage, { ...order, duration: seconds });
      if (round >= 0) samples.push(sample);
    }
    console.log(`${plan.name} ${round + 1}/${rounds}`);
  }
  const first = steps[0]?.samples.map(({ cpu }) => cpu) ?? [];
  return {
    key: plan.key,
    name: plan.name,
    unit: plan.unit,
    points: steps
      .filter(({ samples }) => samples.some(({ requests }) => requests > 0))
      .map(({ x, samples }) => pointOf(x, samples, first)),
  };
}

/**
 * Makes one step's rounds one point. A round without one answer, on a machine that was busy with other programs, does not count.
 *
 * @param first CPU microseconds a request of the first step, by round
 */
export function pointOf(x: number, samples: readonly Sample[], first: readonly number[]): Point {
  const counted = samples
    .map((sample, round) => ({ ...sample, other: first[round] ?? Number.NaN }))
    .filter(({ requests, other }) => requests > 0 && Number.isFinite(other));
  const cpu = counted.map((sample) => sample.cpu);
  const all = counted.reduce((sum, { requests }) => sum + requests, 0);
  const good = counted.reduce((sum, { statuses }) => sum + (statuses['200'] ?? 0), 0);
  const others = counted.map(({ other }) => other);
  return {
    x,
    cpu: median(cpu),
    least: Math.min(...cpu),
    most: Math.max(...cpu),
    ratio: ratioOf(cpu, others).median,
    rss: median(counted.map(({ rss }) => rss)),
    statuses: [...new Set(counted.flatMap(({ statuses }) => Object.keys(statuses)))],
    refused: all === 0 ? 0 : (all - good) / all,
    introspections: counted.reduce((total, sample) => total + sample.introspections, 0),
  };
}

/** A curve as a table, with the ratio of each step to the first. */
export function curveTable({ name, unit, points }: Curve): string {
  const lines = points.map(({ x, cpu, least, most, ratio, rss, statuses, refused, introspections }) =>
    [
      `  ${x.toLocaleString('en').padStart(14)} ${unit.padEnd(12)}`,
      cpu.toFixed(1),
      `${least.toFixed(0)}–${most.toFixed(0)}`,
      ratio.toFixed(2),
      `${rss.toFixed(0)} MiB`,
      statuses.join(','),
      `${(refused * 100).toFixed(1)} %`,
      String(introspections),
    ]
      .map((cell, i) => (i === 0 ? cell : cell.padStart(14)))
      .join(''),
  );
  return [
    '',
    `CPU µs a request by ${name} (median, min–max, ratio to the first, memory, statuses, not 200, introspections)`,
    ...lines,
  ].join('\n');
}
