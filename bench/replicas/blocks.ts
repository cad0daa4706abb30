import { NONE, numeral, percent, runLine, tableOf } from '../markdown.js';
import type { Dated } from '../summary.js';
import type { Replicas, Timed } from './measure.js';
import { type Counts, play } from './simulate.js';

/** The tables of docs/operations.md about gateways that were measured, by the names of their blocks. */
export function measuredBlocks(dated: Dated<Replicas> | undefined): Readonly<Record<string, string>> {
  if (dated === undefined) {
    return {
      'replicas-run': NONE,
      'replicas-check': NONE,
      'replicas-fleets': NONE,
      'replicas-store': NONE,
      'replicas-distance': NONE,
      'replicas-near': NONE,
    };
  }
  const { run, value } = dated;
  return {
    'replicas-run': `${sizeLine(value)}\n\n${runLine(run)}`,
    'replicas-check': checkBlock(value),
    'replicas-fleets': fleetsBlock(value),
    'replicas-store': storeBlock(value),
    'replicas-distance': distanceBlock(value),
    'replicas-near': nearBlock(value),
  };
}

/** How large the run was. */
function sizeLine({ size: { replicas, tokens, rate, ttl, distant } }: Replicas): string {
  return (
    `${replicas} gateways, which share one core; ${numeral(tokens)} tokens that come in no order, ${numeral(rate)} requests a second, ` +
    `\`ttl\` ${ttl} s, the authorization server 2 ms away. For the distances ${numeral(distant.tokens)} tokens and ` +
    `${numeral(distant.rate)} requests a second.`
  );
}

/** One quantity, as it was measured and as the simulation has it. */
interface Check {
  readonly what: string;
  readonly measured: number;
  readonly simulated: number;
  /** It is a share of one. */
  readonly share?: true;
}

/**
 * Compares what was measured with what {@link play} says of the same gateways, tokens and seconds, at the rate that there
 * really was.
 */
export function checksOf({ size, alone, sharing }: Replicas): Check[] {
  const simulated = ({ from, to, rate }: Timed, restart?: number): Counts =>
    play({ ...size, rate }, { from, to, ...(restart === undefined ? {} : { restart }) });
  const [coldAlone, coldSharing] = [simulated(alone.cold), simulated(sharing.cold)];
  const [own, shared] = [simulated(alone.steady), simulated(sharing.steady)];
  const restarted = simulated(sharing.restarted, sharing.restarted.from);
  const seconds = ({ from, to }: Timed): number => to - from;
  const first = `in the first ${size.cold} s`;
  const { lookups } = sharing.steady;
  return [
    {
      what: `introspections ${first} of empty caches, no store`,
      measured: alone.cold.introspections,
      simulated: coldAlone.alone,
    },
    {
      what: 'the same with an empty store',
      measured: sharing.cold.introspections,
      simulated: coldSharing.shared,
    },
    {
      what: `introspections ${first} after a restart of all, with the store`,
      measured: sharing.restarted.introspections,
      simulated: restarted.shared,
    },
    {
      what: 'introspections a second, warm, no store',
      measured: alone.steady.introspections / seconds(alone.steady),
      simulated: own.alone / seconds(alone.steady),
    },
    {
      what: 'the same with the store',
      measured: sharing.steady.introspections / seconds(sharing.steady),
      simulated: shared.shared / seconds(sharing.steady),
    },
    {
      what: 'requests a second that look into the store',
      measured: (lookups.shared + lookups.miss) / seconds(sharing.steady),
      simulated: shared.lookups / seconds(sharing.steady),
    },
    { what: 'answers in the store', measured: sharing.store.answers, simulated: shared.stored },
    {
      what: 'hit rate of the gateways’ own caches, no store',
      measured: alone.steady.lookups.hit / alone.steady.requests,
      simulated: 1 - own.alone / own.requests,
      share: true,
    },
    {
      what: 'the same with the store',
      measured: lookups.hit / sharing.steady.requests,
      simulated: 1 - shared.lookups / shared.requests,
      share: true,
    },
    {
      what: 'hit rate of the store',
      measured: lookups.shared / (lookups.shared + lookups.miss),
      simulated: 1 - shared.shared / shared.lookups,
      share: true,
    },
  ];
}

function checkBlock(replicas: Replicas): string {
  return tableOf(
    ['', 'measured', 'simulated', 'ratio'],
    checksOf(replicas).map(({ what, measured, simulated, share }) => {
      const text = share === true ? percent : (value: number) => numeral(value);
      return [what, text(measured), text(simulated), numeral(measured / simulated, 2)];
    }),
  );
}

function fleetsBlock({ alone, sharing }: Replicas): string {
  const line = (name: string, { rate, cpu, p50, p99 }: Timed, memory: string): string[] => [
    name,
    numeral(rate),
    `${numeral(cpu)} µs`,
    `${numeral(p50, 1)} ms`,
    `${numeral(p99, 1)} ms`,
    memory,
  ];
  return tableOf(
    ['', 'requests a second', 'CPU time a request', 'p50', 'p99', 'memory of all'],
    [
      line('empty caches, no store', alone.cold, '–'),
      line('empty caches and store', sharing.cold, '–'),
      line('restarted, with the store', sharing.restarted, '–'),
      line('warm, no store', alone.steady, `${numeral(alone.memory)} MiB`),
      line('warm, with the store', sharing.steady, `${numeral(sharing.memory)} MiB`),
    ],
  );
}

function distanceBlock({ distances }: Replicas): string {
  return tableOf(
    ['store', 'its answer to a ping', 'CPU time a request', 'p50', 'p99', 'from the store', 'introspected'],
    distances.map(({ name, roundTrip, cpu, p50, p99, shared, miss }) => [
      name,
      roundTrip === undefined ? '–' : `${numeral(roundTrip, 1)} ms`,
      `${numeral(cpu)} µs`,
      `${numeral(p50, 1)} ms`,
      `${numeral(p99, 1)} ms`,
      percent(shared),
      percent(miss),
    ]),
  );
}

/** What the store did while caches were warm. */
function storeBlock({ sharing }: Replicas): string {
  const { steady, store } = sharing;
  const seconds = steady.to - steady.from;
  const commands = Object.entries(store.commands)
    .filter(([, calls]) => calls > 0)
    .map(([name, calls]) => `${numeral(calls / seconds)} ${name.toUpperCase()}`);
  return tableOf(
    ['commands a second', 'for each introspection, besides look-ups', 'CPU time', 'memory for each answer'],
    [
      [
        commands.join(', '),
        numeral(writesOf(store.commands) / steady.introspections, 1),
        `${percent(store.cpu / 1e6 / seconds)} of a core`,
        `${numeral(store.memory / store.answers)} bytes`,
      ],
    ],
  );
}

/** Commands that change something. */
function writesOf({ set = 0, unlink = 0 }: Readonly<Record<string, number>>): number {
  return set + unlink;
}

function nearBlock({ near }: Replicas): string {
  const { median, low, high } = near.ratio;
  return (
    `A token in the gateway's own cache costs ${numeral(near.with, 1)} µs of CPU time with a store and ` +
    `${numeral(near.without, 1)} µs without. The median of the rounds' ratios is ${numeral(median, 2)} (quartiles ${numeral(low, 2)} to ${numeral(high, 2)}).`
  );
}
