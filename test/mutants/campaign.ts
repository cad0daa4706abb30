import { EXPLAINED } from './explained.js';
import { Judge, type Judgement } from './judge.js';
import type { Mutant } from './mutate.js';
import { type Picked, pick } from './pick.js';
import { Results } from './results.js';
import { Sandbox } from './sandbox.js';

/** Which mutants a run tries, and how. */
export interface CampaignOptions {
  /** Only the mutants that every run of the slow checks tries. */
  readonly sample?: boolean;
  /** Only files whose name begins like this, below `src/`. */
  readonly only?: string;
  /** Takes over the results of earlier runs that still count. */
  readonly resume?: boolean;
  /** How many mutants are tried at once. */
  readonly jobs?: number;
  /** Called with each mutant that was tried. */
  readonly onJudged?: (mutant: Mutant, judgement: Judgement) => void;
}

/** The result of a run for one source file. */
export interface FileResult {
  readonly file: string;
  /** How many mutants the file has, and how many of them were tried. */
  readonly all: number;
  readonly tried: number;
  readonly killed: number;
  /** Survivors that the list explains. */
  readonly explained: readonly Mutant[];
  /** Survivors that the list does not explain. */
  readonly survived: readonly Mutant[];
  /** Mutants that the list explains, and that a test killed. */
  readonly refuted: readonly Mutant[];
}

/**
 * Tries the picked mutants.
 *
 * @throws if the build is older than the sources, or a test fails without a mutant
 */
export async function campaign(options: CampaignOptions = {}): Promise<FileResult[]> {
  const { sample = false, only = '', resume = false, jobs = 1, onJudged = () => {} } = options;
  const picked = pick(sample).filter(({ file }) => file.startsWith(only));
  const results = resume ? new Results() : undefined;
  const judgements = new Map<string, Judgement>();
  const times = new Map<string, number>();
  const waiting = picked.flatMap((from) => from.mutants.map((mutant) => ({ from, mutant })));

  /** Tries one mutant after the other until none is left. */
  async function work(): Promise<void> {
    const sandbox = new Sandbox();
    try {
      const judge = new Judge(sandbox, !sample, times);
      for (const { file, text } of picked) sandbox.verify(file, text);
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { mutant } = next;
        const { text, tests } = next.from;
        let judgement = results?.find(mutant, text, tests);
        if (judgement === undefined) {
          judgement = await judge.judge(mutant, text, tests);
          results?.keep(mutant, text, tests, judgement);
        }
        judgements.set(mutant.id, judgement);
        onJudged(mutant, judgement);
      }
    } finally {
      sandbox.close();
    }
  }
  await Promise.all(Array.from({ length: jobs }, work));
  return picked.map((from) => resultOf(from, judgements));
}

function resultOf({ file, all, mutants }: Picked, judgements: ReadonlyMap<string, Judgement>): FileResult {
  const survivors = mutants.filter(({ id }) => judgements.get(id)?.verdict === 'survived');
  const killed = mutants.filter((mutant) => !survivors.includes(mutant));
  return {
    file,
    all: all.length,
    tried: mutants.length,
    killed: killed.length,
    explained: survivors.filter(({ id }) => EXPLAINED.has(id)),
    survived: survivors.filter(({ id }) => !EXPLAINED.has(id)),
    refuted: killed.filter(({ id }) => EXPLAINED.has(id)),
  };
}

/**
 * Finds explanations of mutants that do not exist any more.
 *
 * @param only of files whose name begins like this
 */
export function staleExplanations(only = ''): string[] {
  const ids = new Set(pick().flatMap(({ all }) => all.map(({ id }) => id)));
  return [...EXPLAINED.keys()].filter((id) => id.startsWith(only) && !ids.has(id));
}
