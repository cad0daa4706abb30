import { parseArgs } from 'node:util';
import { GROWTHS, type GrowthKey } from './growth/measure.js';

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
  'replicas',
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
  /** Parts of `scale`; all of them if absent. */
  readonly curves?: readonly GrowthKey[];
  readonly quick: boolean;
  /** Of `replicas`. */
  readonly tokens?: number;
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
      tokens: { type: 'string' },
      only: { type: 'string' },
      curves: { type: 'string' },
      contenders: { type: 'string' },
      profile: { type: 'string' },
    },
  });
  const { quick } = values;
  const seconds = positive('--seconds', values.seconds, quick ? 0.3 : 1.5);
  return {
    only: values.only === undefined ? (quick ? QUICK : DEFAULT) : namesOf('--only', values.only, SITUATIONS),
    rounds: count('--rounds', values.rounds, quick ? 3 : 7),
    warmUp: quick ? 1 : 2,
    warmUpSeconds: Math.max(seconds, quick ? 1 : 1.5),
    seconds,
    starts: quick ? 1 : 7,
    minutes: positive('--minutes', values.minutes, 30),
    budget: quick ? 90 : Number.POSITIVE_INFINITY,
    quick,
    ...(values.tokens === undefined ? {} : { tokens: count('--tokens', values.tokens, 1) }),
    ...(values.curves === undefined ? {} : { curves: namesOf('--curves', values.curves, GROWTHS) }),
    ...(values.contenders === undefined ? {} : { contenders: values.contenders.split(',') }),
    ...(values.profile === undefined ? {} : { profile: values.profile }),
  };
}

/** @throws Error if a name of the list is unknown */
function namesOf<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  return text.split(',').map((name) => {
    const found = known.find((each) => each === name);
    if (found === undefined) throw new Error(`${option}: "${name}" is none of ${known.join(', ')}`);
    return found;
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
