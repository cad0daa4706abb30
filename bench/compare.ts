import type { Contender } from './contender.js';
import type { Order } from './load.js';
import type { Options } from './options.js';
import type { Results, Sample } from './report.js';
import { measure, type Stage } from './stage.js';

/** One way to load a gateway. */
export interface Situation {
  readonly name: string;
  /** Who takes part. */
  takes(contender: Contender): boolean;
  /** What a contender gets in a round; rounds that do not count have negative numbers. */
  order(round: number, contender: Contender): Omit<Order, 'port' | 'path'> & { readonly path?: string };
}

/**
 * Warms every contender of a stage up, then measures all of them in turn, round by round.
 *
 * @param late whether no further round or situation may begin; the first one always has a round
 */
export async function compare(
  situation: Situation,
  stage: Stage,
  { rounds, warmUp, warmUpSeconds }: Pick<Options, 'rounds' | 'warmUp' | 'warmUpSeconds'>,
  results: Results,
  late: () => boolean,
): Promise<void> {
  const running = stage.running.filter(({ contender }) => situation.takes(contender));
  if (running.length === 0) return;
  if (results.size > 0 && late()) {
    console.log(`${situation.name}: left out, the time is up`);
    return;
  }
  const samples = new Map<string, Sample[]>(running.map(({ contender }) => [contender.name, []]));
  results.set(situation.name, samples);
  for (let round = -warmUp; round < rounds; round++) {
    if (round > 0 && late()) {
      console.log(`${situation.name}: ${round} of ${rounds} rounds, the time is up`);
      return;
    }
    // There and back, so that a machine that grows slower or faster does so for nobody's benefit.
    for (const one of Math.abs(round) % 2 === 0 ? running : running.toReversed()) {
      const order = { path: '/get', ...situation.order(round, one.contender) };
      // Compilers of the Node contenders take their time; nobody is measured cold.
      if (round < 0) {
        await measure(one, stage, { ...order, duration: warmUpSeconds });
        continue;
      }
      const sample = await measure(one, stage, order);
      samples.get(one.contender.name)?.push(sample);
      const { cpu, rate, statuses } = sample;
      console.log(
        `${situation.name} ${round + 1}/${rounds} ${one.contender.name}: ${cpu.toFixed(1)} µs, ${rate.toFixed(0)} req/s, ${JSON.stringify(statuses)}`,
      );
    }
  }
}
