import { isAbsolute, join } from 'node:path';
import { byPosition, type Finding, type Position } from '../document/finding.js';
import type { Path, SourceDocument } from '../document/yaml.js';
import { fileProblem } from '../model/file-error.js';
import { NotText } from '../model/text-file.js';

/** The process's environment, or a test's. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One reading of the settings: what it reads, and what is wrong with it so far. */
export class Reading {
  readonly document: SourceDocument;
  /** The folder of the settings file, which names of files in it start from. */
  readonly folder: string;
  readonly environment: Environment;
  readonly #found: { readonly path: Path; readonly finding: Finding }[] = [];

  constructor(document: SourceDocument, folder: string, environment: Environment) {
    this.document = document;
    this.folder = folder;
    this.environment = environment;
  }

  add(path: Path, finding: Finding): void {
    this.#found.push({ path, finding });
  }

  /** Whether nothing is wrong with what stands at a path. */
  sound(path: Path): boolean {
    return !this.#found.some((each) => path.every((step, index) => step === each.path[index]));
  }

  /** All that is wrong, in the order of the file. Of two findings at one position the one about the whole is first. */
  findings(): Finding[] {
    return this.#found
      .sort((a, b) => a.path.length - b.path.length)
      .map(({ finding }) => finding)
      .sort(byPosition);
  }
}

/** Where a setting is in the file: checks say there what is wrong with it. */
export class Place {
  readonly #reading: Reading;
  readonly #path: Path;

  /** @param path from the top of the file */
  constructor(reading: Reading, path: Path = []) {
    this.#reading = reading;
    this.#path = path;
  }

  /** The place of a setting inside this one. */
  at(...steps: Path): Place {
    return new Place(this.#reading, [...this.#path, ...steps]);
  }

  /** The setting's name, as the documentation has it: `listen.proxy.port`. */
  get name(): string {
    return this.#path.join('.');
  }

  /** The name of the section that it is in. */
  get section(): string {
    return this.#path.slice(0, -1).join('.');
  }

  /** Where its value stands; of a setting that the file does not have, the nearest section that it has. */
  get position(): Position {
    return this.#reading.document.at(this.#path);
  }

  /** Whether no check has found anything wrong with it, or with what is in it. */
  get sound(): boolean {
    return this.#reading.sound(this.#path);
  }

  /** The variables of the process. */
  get environment(): Environment {
    return this.#reading.environment;
  }

  /**
   * Reports an error, which keeps the gateway from starting.
   *
   * @param message the whole sentence
   * @param code as in {@link Finding}
   */
  error(message: string, code = 'invalid-value'): void {
    this.#reading.add(this.#path, { ...this.position, level: 'error', code, message });
  }

  /**
   * Reports an error with the setting's name before it.
   *
   * @param what how the sentence goes on after the name, such as `must be a path`
   */
  problem(what: string, code?: string): void {
    this.error(`${this.name} ${what}`, code);
  }

  /** Reports that a section lacks a field. */
  missing(field: string): void {
    this.problem(`must have the field "${field}"`, 'missing-field');
  }

  /**
   * Reports that the file which the setting names is of no use.
   *
   * @param error the system's, or one whose message holds nothing of what is in the file
   */
  unreadable(file: string, error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    const known = code !== undefined || error instanceof NotText;
    const why = known ? fileProblem(error) : `cannot be used: ${fileProblem(error)}`;
    this.error(`${this.name}: ${file} ${why}`, 'unreadable-file');
  }

  /** The path by which the process can open a file that the settings name. */
  resolve(file: string): string {
    return isAbsolute(file) ? file : join(this.#reading.folder, file);
  }
}
