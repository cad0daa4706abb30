import { type Fleet, simulate } from './simulate.js';

/** Each token is used once in so many seconds, somewhere. */
const PERIOD = 10;

const FLEETS: readonly Fleet[] = [1, 10, 100, 1_000].flatMap((replicas) =>
  [10_000, 1_000_000, 10_000_000].map((tokens) => ({ replicas, tokens, rate: tokens / PERIOD, ttl: 60 })),
);

/** The table of docs/operations.md: what fleets of several sizes ask of the authorization server and of the store. */
export function replicasBlock(): string {
  const head = [
    'replicas',
    'tokens',
    'introspections a second, no store',
    'with the store',
    'look-ups in the store a second',
    'answers in the store',
  ];
  const rows = FLEETS.map((fleet) => {
    const { alone, shared, lookups, stored } = simulate(fleet);
    return [fleet.replicas, fleet.tokens, alone, shared, lookups, stored].map(readable);
  });
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Two digits that count: a simulation has no more. */
function readable(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString('en', { maximumFractionDigits: 1 });
}
