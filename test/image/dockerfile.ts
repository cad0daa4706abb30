import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DockerfileParser, type Instruction } from 'dockerfile-ast';
import { root } from '../root.js';

/** One instruction of a stage. */
export interface Step {
  /** In upper case: `RUN`, `COPY`, … */
  readonly keyword: string;
  /** What follows the keyword and its flags, continuation lines joined. */
  readonly text: string;
  /** The same, split at white space. */
  readonly words: readonly string[];
  /** `--name=value` flags. */
  readonly flags: Readonly<Record<string, string>>;
  readonly line: number;
}

/** One `FROM … [AS name]` and the instructions under it. */
export interface Stage {
  readonly base: string;
  readonly name: string | undefined;
  readonly steps: readonly Step[];
}

/** The stages of the project's Dockerfile, in order; the last one is the image. */
export function stages(): Stage[] {
  const parsed = DockerfileParser.parse(readFileSync(join(root, 'Dockerfile'), 'utf8'));
  const found: { base: string; name: string | undefined; steps: Step[] }[] = [];
  for (const instruction of parsed.getInstructions()) {
    const step = toStep(instruction);
    if (step.keyword === 'FROM') {
      const [base = '', , name] = step.words;
      found.push({ base, name, steps: [] });
    } else {
      found.at(-1)?.steps.push(step);
    }
  }
  return found;
}

/** The one instruction of this kind, or the last one where several override each other. */
export function last(stage: Stage, keyword: string): Step | undefined {
  return stage.steps.findLast((step) => step.keyword === keyword);
}

/** The exec form of an instruction: its JSON array, or undefined where it is in shell form. */
export function execForm(step: Step | undefined): string[] | undefined {
  const start = step?.text.indexOf('[') ?? -1;
  if (step === undefined || start < 0) return undefined;
  return JSON.parse(step.text.slice(start)) as string[];
}

/** Whether `.dockerignore` lets a path of the checkout into the build: it lists what may pass, after a `*`. */
export function passesIgnore(path: string): boolean {
  const lines = readFileSync(join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines[0] !== '*') throw new Error('.dockerignore must start by ignoring everything');
  return lines.slice(1).some((line) => line === `!${path}`);
}

function toStep(instruction: Instruction): Step {
  const flags = 'getFlags' in instruction ? (instruction.getFlags as () => Flag[])() : [];
  const text = instruction.getArgumentsContent() ?? '';
  return {
    keyword: instruction.getKeyword(),
    text,
    words: instruction.getArguments().map((argument) => argument.getValue()),
    flags: Object.fromEntries(flags.map((flag) => [flag.getName(), flag.getValue() ?? ''])),
    line: instruction.getRange().start.line + 1,
  };
}

interface Flag {
  getName(): string;
  getValue(): string | null;
}

/** The variables of a stage that its `ENV` instructions set. */
export function variables(stage: Stage): Readonly<Record<string, string>> {
  const words = stage.steps.filter(({ keyword }) => keyword === 'ENV').flatMap((step) => step.words);
  return Object.fromEntries(
    words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
  );
}
