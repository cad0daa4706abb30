import { parseArgs } from 'node:util';

/** What `--only` may name. */
export const SITUATIONS = [
  'start',
  'hit',
  'miss',
  'mixed',
  'denial',
  'bodies',
  'latency',
  'tls',
  'burst',
  'down',
  'scale',
  'cache',
  'soak',
] as const;

/** One of the things that can be measured. */
export type SituationName = (typeof SITUATIONS)[number];

/** Measured if `--only` names nothing. */
const DEFAULT = SITUATIONS.slice(0, SITUATIONS.indexOf('scale'));
const QUICK: readonly SituationName[] = ['start', 'hit', 'miss', 'mixed', 'denial', 'latency'];

/** How a run is made. */
export interface Options {
  readonly only: readonly SituationName[];
  /** Rounds that count. */
  readonly rounds: number;
  /** Rounds before them that do not count. */
  readonly warmUp: number;
  /** Seconds of each of these: compilers of Node contenders need some thousand requests, however short a round is. */
  readonly warmUpSeconds: number;
  /** Seconds of load a round. */
  readonly seconds: number;
  /** Starts of each program. */
  readonly starts: number;
  /** Minutes of `soak`. */
  readonly minutes: number;
  /** Seconds after which no further round and no further situation begins. */
  readonly budget: number;
  readonly curves?: readonly string[];
  readonly contenders?: readonly string[];
  /** A folder for CPU profiles of Node processes. */
  readonly profile?: string;
}

/**
 * Reads the command line. `--quick` is a whole table within three minutes on two processors: few and short rounds.
 *
 * @throws Error that names the option, and what it may be
 */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      minutes: { type: 'string' },
      only: { type: 'string' },
      curves: { type: 'string' },
      contenders: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const { quick } = values;
  const seconds = positive('--seconds', values.seconds, quick ? 0.3 : 1.5);
  return {
    only: values.only === undefined ? (quick ? QUICK : DEFAULT) : situationsOf(values.only),
    rounds: count('--rounds', values.rounds, quick ? 3 : 7),
    warmUp: quick ? 1 : 2,
    warmUpSeconds: Math.max(seconds, quick ? 1 : 1.5),
    seconds,
    starts: quick ? 1 : 7,
    minutes: positive('--minutes', values.minutes, 30),
    budget: quick ? 90 : Number.POSITIVE_INFINITY,
    ...(values.curves === undefined ? {} : { curves: values.curves.split(',') }),
    ...(values.contenders === undefined ? {} : { contenders: values.contenders.split(',') }),
    ...(values.profile === undefined ? {} : { profile: values.profile }),
  };
}

function situationsOf(text: string): SituationName[] {
  return text.split(',').map((name) => {
    const known = SITUATIONS.find((situation) => situation === name);
    if (known === undefined) throw new Error(`--only: "${name}" is none of ${SITUATIONS.join(', ')}`);
    return known;
  });
}

function positive(option: string, text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!(value > 0)) throw new Error(`${option}: "${text}" is not a number above zero`);
  return value;
}

function count(option: string, text: string | undefined, otherwise: number): number {
  const value = positive(option, text, otherwise);
  if (!Number.isInteger(value)) throw new Error(`${option}: "${text}" is not a whole number`);
  return value;
}
