import type { Contender } from './contender.js';
import { scopegate, withRules, withTokens } from './contenders/scopegate.js';
import type { Order } from './load.js';
import { median, ratioOf } from './report.js';
import { measure, type Running, staged } from './stage.js';
import { TOKEN } from './token.js';

/** How the cost of a request grows with something. */
export interface Curve {
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
  /** In all rounds. */
  readonly introspections: number;
}

/** One step, before it is measured. */
interface Step {
  readonly x: number;
  /** Which of the running gateways it is for. */
  readonly gateway: number;
  readonly order: Omit<Order, 'port' | 'duration'>;
}

interface Plan {
  readonly name: string;
  readonly unit: string;
  readonly gateways: readonly Contender[];
  readonly steps: readonly Step[];
}

const CONNECTIONS = 64;
const SIMPLE = { connections: CONNECTIONS, path: '/get', token: TOKEN };
/** Rounds that do not count. */
const WARM_UP = 2;
/** Hosts among which many rules are spread. */
const HOSTS = 100;

/**
 * Rules as people have them, on a hundred hosts or on one; the requests of the load go to one of the first host.
 *
 * @param count a multiple of ten, and of the hosts
 */
function rulesOf(count: number, hosts = Math.min(HOSTS, count / 10)): string {
  const rule = (path: string): string =>
    `    - path: ${path}\n      methods: ["GET"]\n      accessStrategies:\n        - handler: oauth2_introspection\n          config: { required_scope: ["read"] }\n`;
  return Array.from({ length: hosts }, (_, host) => {
    const paths = Array.from({ length: count / hosts }, (_, i) =>
      i === 0 ? '/get' : i % 2 === 0 ? `/api/resource-${i}/[^/]+` : `/resource-${i}(/.*)?`,
    );
    return `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: rules-${host}, namespace: default }
spec:
  gateway: kyma-system/kyma-gateway
  host: ${host === 0 ? 'gate.example' : `h${host}.example`}
  service: { name: httpbin, port: 8000 }
  rules:
${paths.map(rule).join('')}`;
  }).join('---\n');
}

const RULES = [10, 100, 1_000, 10_000];
/** Hosts among which a thousand rules are spread. */
const SPREAD = [1, 10, 100, 1_000];
const TOKENS = [10, 1_000, 100_000, 1_000_000];
/** The longest that filling a cache may take, in seconds. */
const FILLING = 1_800;

const PLANS: readonly Plan[] = [
  {
    name: 'rules',
    unit: 'rules',
    gateways: RULES.map((count) => withRules(`${count} rules`, rulesOf(count))),
    steps: RULES.map((x, gateway) => ({ x, gateway, order: SIMPLE })),
  },
  {
    name: 'hosts of a thousand rules',
    unit: 'hosts',
    gateways: SPREAD.map((hosts) => withRules(`${hosts} hosts`, rulesOf(1_000, hosts))),
    steps: SPREAD.map((x, gateway) => ({ x, gateway, order: SIMPLE })),
  },
  {
    name: 'cached tokens that take turns',
    unit: 'tokens',
    gateways: TOKENS.map((count) => withTokens(`${count} tokens`, count)),
    steps: TOKENS.map((x, gateway) => ({
      x,
      gateway,
      order: { connections: CONNECTIONS, path: '/get', tokens: x },
    })),
  },
  {
    name: 'connections',
    unit: 'connections',
    gateways: [scopegate],
    steps: [1, 8, 64, 512, 5_000].map((connections) => ({
      x: connections,
      gateway: 0,
      order: { ...SIMPLE, connections },
    })),
  },
  {
    name: 'size of the answer’s body',
    unit: 'bytes',
    gateways: [scopegate],
    steps: [0, 1_024, 16_384, 65_536, 1_048_576, 104_857_600].map((size) => ({
      x: size,
      gateway: 0,
      order: { ...SIMPLE, connections: size > 1_000_000 ? 2 : CONNECTIONS, path: `/bytes/${size}` },
    })),
  },
  {
    name: 'size of the token’s claims',
    unit: 'bytes',
    gateways: [scopegate],
    steps: [0, 1_000, 10_000, 50_000].map((size) => ({
      x: size,
      gateway: 0,
      order: { ...SIMPLE, token: `${TOKEN}~${size}` },
    })),
  },
];

/**
 * Measures all curves: the steps of each take turns, round by round.
 *
 * @param seconds of load a step and round
 * @param wanted units of the curves, such as `rules`; undefined for all
 */
export async function measureCurves(
  folder: string,
  rounds: number,
  seconds: number,
  wanted?: readonly string[],
): Promise<Curve[]> {
  const curves: Curve[] = [];
  for (const plan of PLANS.filter(({ unit }) => wanted?.includes(unit) ?? true)) {
    await staged({ folder: `${folder}-${curves.length}`, delay: 0 }, plan.gateways, async (stage) => {
      const samples = plan.steps.map(() => [] as Awaited<ReturnType<typeof measure>>[]);
      for (const { gateway, order } of plan.steps) {
        if (order.tokens === undefined) continue;
        // One request for each goes before everything, so that all are cached.
        const requests = { ...order, requests: order.tokens, duration: FILLING };
        const { introspections } = await measure(stage.running[gateway] as Running, stage, requests);
        console.log(`${plan.name}: ${introspections} introspected`);
      }
      for (let round = -WARM_UP; round < rounds; round++) {
        const steps = [...plan.steps.entries()];
        for (const [i, { gateway, order }] of round % 2 === 0 ? steps : steps.reverse()) {
          const sample = await measure(stage.running[gateway] as Running, stage, {
            ...order,
            duration: seconds,
          });
          if (round >= 0) samples[i]?.push(sample);
        }
        console.log(`${plan.name} ${round + 1}/${rounds}`);
      }
      curves.push({
        name: plan.name,
        unit: plan.unit,
        points: plan.steps.map(({ x }, i) => {
          const own = samples[i] ?? [];
          const cpu = own.map((sample) => sample.cpu);
          return {
            x,
            cpu: median(cpu),
            least: Math.min(...cpu),
            most: Math.max(...cpu),
            ratio: ratioOf(cpu, samples[0]?.map((sample) => sample.cpu) ?? []).median,
            rss: median(own.map(({ rss }) => rss)),
            statuses: [...new Set(own.flatMap(({ statuses }) => Object.keys(statuses)))],
            introspections: own.reduce((total, sample) => total + sample.introspections, 0),
          };
        }),
      });
    });
  }
  return curves;
}

/** A curve as a table, with the ratio of each step to the first. */
export function curveTable({ name, unit, points }: Curve): string {
  const lines = points.map(({ x, cpu, least, most, ratio, rss, statuses, introspections }) =>
    [
      `  ${x.toLocaleString('en').padStart(14)} ${unit.padEnd(12)}`,
      cpu.toFixed(1),
      `${least.toFixed(0)}–${most.toFixed(0)}`,
      ratio.toFixed(2),
      `${rss.toFixed(0)} MiB`,
      statuses.join(','),
      String(introspections),
    ]
      .map((cell, i) => (i === 0 ? cell : cell.padStart(14)))
      .join(''),
  );
  return [
    '',
    `CPU µs a request by ${name} (median, min–max, ratio to the first, memory, statuses, introspections)`,
    ...lines,
  ].join('\n');
}
