import type { Contender } from '../contender.js';
import { scopegate, varied, withTokens } from '../contenders/scopegate.js';
import type { Order } from '../load.js';
import { TOKEN } from '../token.js';
import { apiRules } from './apirules.js';

/** One step of a curve, before it is measured. */
export interface Step {
  readonly x: number;
  /** Which of the running gateways it is for. */
  readonly gateway: number;
  readonly order: Omit<Order, 'port' | 'duration'>;
  /** Connections that are open beside those of the order, and idle. */
  readonly idle?: number;
}

/** What a curve is made of. */
export interface Plan {
  /** Its name for `--curves`. */
  readonly key: CurveKey;
  readonly name: string;
  readonly unit: string;
  readonly gateways: readonly Contender[];
  readonly steps: readonly Step[];
}

/** The curves that {@link plansOf} has. */
export type CurveKey =
  | 'rules'
  | 'hosts'
  | 'tokens'
  | 'connections'
  | 'idle'
  | 'bodies'
  | 'claims'
  | 'new-claims';

const CONNECTIONS = 64;
const SIMPLE = { connections: CONNECTIONS, path: '/get', token: TOKEN };
/** Bodies of at least so many bytes have few connections, or the load would be about memory for bytes that wait. */
const LARGE = 1_000_000;

/** Numbers of rules; each host has as many as {@link hostsOf} leaves it. */
export const RULES = [10, 100, 1_000, 10_000, 100_000] as const;
/** Rules of one host. */
const OF_A_HOST = 100;
/** Hosts among which ten thousand rules are spread. */
const SPREAD = [1, 10, 100, 1_000, 10_000] as const;
const TOKENS = [10, 1_000, 100_000, 1_000_000] as const;
const BUSY = [1, 8, 64, 512, 5_000] as const;
const IDLE = [0, 1_000, 10_000] as const;
const BODIES = [0, 1_024, 16_384, 65_536, 1_048_576, 104_857_600] as const;
const CLAIMS = [0, 1_000, 10_000, 100_000] as const;

/** What large sets of rules need of the settings. */
const ROOMY = { settings: { reload: { timeout: '10m', maxBytes: 2 ** 26 } }, patience: 600 } as const;

/** Hosts among which so many rules are spread: a hundred rules each. */
export function hostsOf(rules: number): number {
  return Math.max(1, rules / OF_A_HOST);
}

/** A gateway with many rules, and time to load them. */
export function withRules(shape: string, rules: number, hosts = hostsOf(rules)): Contender {
  return varied(`${rules} rules on ${hosts} hosts`, {
    ...ROOMY,
    rules: () => apiRules(shape, rules, hosts),
  });
}

/** All curves that can be measured. */
export const PLANS: readonly Plan[] = [
  {
    key: 'rules',
    name: 'rules',
    unit: 'rules',
    gateways: RULES.map((count) => withRules('mixed', count)),
    steps: RULES.map((x, gateway) => ({ x, gateway, order: SIMPLE })),
  },
  {
    key: 'hosts',
    name: 'hosts of ten thousand rules',
    unit: 'hosts',
    gateways: SPREAD.map((hosts) => withRules('mixed', 10_000, hosts)),
    steps: SPREAD.map((x, gateway) => ({ x, gateway, order: SIMPLE })),
  },
  {
    key: 'tokens',
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
    key: 'connections',
    name: 'busy connections',
    unit: 'connections',
    gateways: [scopegate],
    steps: BUSY.map((connections) => ({ x: connections, gateway: 0, order: { ...SIMPLE, connections } })),
  },
  {
    key: 'idle',
    name: 'idle connections beside 64 busy ones',
    unit: 'idle',
    gateways: IDLE.map((count) =>
      varied(`${count} idle`, { settings: { server: { keepAliveTimeout: '1h' } } }),
    ),
    steps: IDLE.map((x, gateway) => ({ x, gateway, order: SIMPLE, idle: x })),
  },
  {
    key: 'bodies',
    name: 'size of the answer’s body',
    unit: 'bytes',
    gateways: [scopegate],
    steps: BODIES.map((size) => ({
      x: size,
      gateway: 0,
      order: { ...SIMPLE, connections: size > LARGE ? 2 : CONNECTIONS, path: `/bytes/${size}` },
    })),
  },
  {
    key: 'claims',
    name: 'size of a cached token’s claims',
    unit: 'bytes',
    gateways: [scopegate],
    steps: CLAIMS.map((size) => ({
      x: size,
      gateway: 0,
      order: { ...SIMPLE, token: `${TOKEN}~${size}` },
    })),
  },
  {
    key: 'new-claims',
    name: 'size of a new token’s claims',
    unit: 'bytes',
    // Each has its own, because what one size leaves in the cache is another one's memory.
    gateways: CLAIMS.map((size) => varied(`claims of ${size}`, {})),
    steps: CLAIMS.map((claims, gateway) => ({
      x: claims,
      gateway,
      order: { connections: CONNECTIONS, path: '/get', claims },
    })),
  },
];
