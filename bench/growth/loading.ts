import { rmSync } from 'node:fs';
import { median, row } from '../report.js';
import { type Stage, staged } from '../stage.js';
import { peakOf, processTimeOf } from '../usage.js';
import { hostsOf, RULES, withRules } from './plans.js';

/** What it takes to start a gateway with many rules: to read, check, compile and prove them, until it listens. */
export interface Loading {
  /** What the paths look like, a name of `SHAPES`. */
  readonly shape: string;
  readonly rules: number;
  readonly hosts: number;
  /** User and system time of the process, in milliseconds. */
  readonly cpu: number;
  /** Milliseconds. */
  readonly wall: number;
  /** The most resident memory until then, in MiB. */
  readonly peak: number;
}

type Step = Pick<Loading, 'shape' | 'rules' | 'hosts'>;

/** Paths that no index by their beginning can tell apart have a step of their own. */
const HARD = ['tenants', 'pages'] as const;
const MANY = 10_000;
const STEPS: readonly Step[] = [
  ...RULES.map((rules) => ({ shape: 'mixed', rules, hosts: hostsOf(rules) })),
  ...HARD.map((shape) => ({ shape, rules: MANY, hosts: hostsOf(MANY) })),
  { shape: 'mixed', rules: MANY, hosts: 1 },
];
/** Loads of a hundred thousand rules take long, and vary little. */
const MOST_ROUNDS = 3;

/** Starts a gateway with each set in turn, round by round; each has the processor of what is measured to itself. */
export async function measureLoading(folder: string, rounds: number): Promise<Loading[]> {
  const steps = STEPS.map((step) => ({ ...step, samples: [] as Omit<Loading, keyof Step>[] }));
  // A gateway that is there all the time is what a stage needs, and costs nothing at rest.
  await staged({ folder, delay: 0 }, [withRules('mixed', 10)], async (stage) => {
    for (let round = 0; round < Math.min(rounds, MOST_ROUNDS); round++) {
      for (const { samples, ...step } of steps) {
        const sample = await load(stage, step);
        if (sample === undefined) continue;
        samples.push(sample);
        console.log(
          `${step.rules} rules (${step.shape}, ${step.hosts} hosts): ${sample.cpu.toFixed(0)} ms of CPU, ${sample.peak.toFixed(0)} MiB`,
        );
      }
    }
  });
  return steps
    .filter(({ samples }) => samples.length > 0)
    .map(({ samples, ...step }) => ({
      ...step,
      cpu: median(samples.map(({ cpu }) => cpu)),
      wall: median(samples.map(({ wall }) => wall)),
      peak: median(samples.map(({ peak }) => peak)),
    }));
}

async function load(
  stage: Stage,
  { shape, rules, hosts }: Step,
): Promise<Omit<Loading, keyof Step> | undefined> {
  try {
    const { child, started, folder } = await stage.launch(withRules(shape, rules, hosts));
    const wall = performance.now() - started;
    const sample = { wall, cpu: processTimeOf(child.pid) / 1000, peak: peakOf(child.pid) / 2 ** 20 };
    await child.stop();
    rmSync(folder, { recursive: true });
    return sample;
  } catch (error) {
    console.log(`${rules} rules on ${hosts} hosts: ${(error as Error).message}`);
    return undefined;
  }
}

/** Medians. */
export function loadingTable(loadings: readonly Loading[]): string {
  return [
    '',
    'from the start of the process until it listens, by its rules',
    row('rules', 'hosts', 'paths', 'CPU ms', 'wall ms', 'peak MiB'),
    ...loadings.map(({ rules, hosts, shape, cpu, wall, peak }) =>
      row(rules.toLocaleString('en'), String(hosts), shape, cpu.toFixed(0), wall.toFixed(0), peak.toFixed(0)),
    ),
  ].join('\n');
}
