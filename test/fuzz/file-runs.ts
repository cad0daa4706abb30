import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { main } from '../../src/cli.js';
import { SECRET } from './example-rules.js';
import { changedText, changedTree } from './file-changes.js';
import { EXAMPLES, type Example } from './file-examples.js';
import { Random } from './random.js';

/** One command on files, of which one is changed. */
export interface FileCase {
  readonly example: Example;
  /** The content of the changed file. */
  readonly text: string;
}

/** The case of a seed. Equal seeds make equal cases. */
export function fileCase(seed: number): FileCase {
  const random = new Random(seed);
  const example = random.pick(EXAMPLES);
  const content = example.files[example.changed];
  const mode = random.next();
  if (mode < 0.75) return { example, text: written(changedTree(content, random), random) };
  return { example, text: changedText(written(content, random), random) };
}

function written(content: unknown, random: Random): string {
  if (typeof content === 'string') return content;
  return random.chance(0.5)
    ? (JSON.stringify(content, null, 1) ?? '')
    : stringify(content, { aliasDuplicateObjects: false });
}

/** The result of a command. */
export interface FileRun {
  readonly code: number;
  readonly output: string;
  /** Milliseconds of processor time. */
  readonly cpu: number;
}

/**
 * Runs the command of a case.
 *
 * @param folder an empty folder, or that of an earlier case
 * @throws whatever the command throws
 */
export async function runFileCase({ example, text }: FileCase, folder: string): Promise<FileRun> {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of Object.entries(example.files)) {
    const whole = typeof content === 'string' ? content : JSON.stringify(content);
    const written = name === example.changed ? text : whole;
    writeFileSync(join(folder, name), written.replaceAll('FOLDER', folder));
  }
  const args = example.args.map((arg) => (Object.hasOwn(example.files, arg) ? join(folder, arg) : arg));
  let output = '';
  let messages = '';
  const out = (more: string): void => {
    output += more;
  };
  const err = (more: string): void => {
    messages += more;
  };
  const before = process.cpuUsage();
  const code = await main(args, { environment: {}, out, err });
  const { user, system } = process.cpuUsage(before);
  // The result of convert is the rule itself, with all that it holds.
  if (args[0] !== 'convert') messages = output + messages;
  return { code, output: messages, cpu: (user + system) / 1_000 };
}

/** What nobody should read in an output. The values of a case may hold the same words, in quotes. */
const UNREADABLE = /\bundefined\b|\[object |\bNaN\b|\bInfinity\b|\n {4}at |TypeError|RangeError|ERR_[A-Z]/;

/** What is wrong with the output of a case; undefined if nothing is. */
export function complaint({ text }: FileCase, { code, output }: FileRun): string | undefined {
  if (output.includes(SECRET)) return 'a secret is printed';
  if (code !== 0 && code !== 1) return `exit code ${code}`;
  if (code === 1 && output === '') return 'it fails and says nothing';
  const word = UNREADABLE.exec(output)?.[0];
  if (word !== undefined && !text.includes(word)) return `the output has ${JSON.stringify(word)}`;
  if (/:(?:0|undefined|NaN|-1):|:\d+:0 /.test(output) && !text.includes(':0')) return 'a position is not one';
  return undefined;
}

/** What is wrong with one case, and the seed that makes it again. */
export interface JudgedCase {
  readonly seed: number;
  readonly name: string;
  readonly problem: string;
}

/**
 * Runs cases one after the other. A case that does not end makes the whole test end by its timeout.
 *
 * @param from the first seed
 * @param count how many seeds
 * @param folder an empty folder
 * @returns the cases that something is wrong with
 */
export async function judgeFiles(from: number, count: number, folder: string): Promise<JudgedCase[]> {
  const judged: JudgedCase[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const one = fileCase(seed);
    const problem = await problemOf(one, folder);
    if (problem !== undefined) judged.push({ seed, name: one.example.name, problem });
  }
  return judged;
}

async function problemOf(one: FileCase, folder: string): Promise<string | undefined> {
  try {
    return complaint(one, await runFileCase(one, folder));
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
