import { isAbsolute, join } from 'node:path';
import { byPosition, type Finding, type Position } from '../document/finding.js';
import type { Path, SourceDocument } from '../document/yaml.js';
import { fileProblem } from '../model/file-error.js';
import { UnusableFile } from '../model/text-file.js';

/** The environment variables of the process, or those of a test. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** One reading of the settings: the document that it reads, and the findings so far. */
export class Reading {
  readonly document: SourceDocument;
  /** The folder of the settings file. Relative file names in the settings start from it. */
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

  /** Whether there is no finding about the value at a path, or about a value inside it. */
  sound(path: Path): boolean {
    return !this.#found.some((each) => path.every((step, index) => step === each.path[index]));
  }

  /**
   * All findings, in the order of the file. Of two findings at one position, the one about the outer value is
   * first.
   */
  findings(): Finding[] {
    return this.#found
      .sort((a, b) => a.path.length - b.path.length)
      .map(({ finding }) => finding)
      .sort(byPosition);
  }
}

/** The place of a setting in the file. A check reports here what is wrong with the setting. */
export class Place {
  readonly #reading: Reading;
  readonly #path: Path;

  /** @param path the path from the top of the file */
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

  /** The name of the section that holds the setting. */
  get section(): string {
    return this.#path.slice(0, -1).join('.');
  }

  /**
   * The position of the setting's value. If the file does not have the setting, it is the position of the
   * nearest enclosing section.
   */
  get position(): Position {
    return this.#reading.document.at(this.#path);
  }

  /** Whether no check has reported a problem with the setting or with a value inside it. */
  get sound(): boolean {
    return this.#reading.sound(this.#path);
  }

  /** The environment variables of the process. */
  get environment(): Environment {
    return this.#reading.environment;
  }

  /**
   * Reports an error, which prevents the gateway from starting.
   *
   * @param message the whole sentence
   * @param code as in {@link Finding}
   */
  error(message: string, code = 'invalid-value'): void {
    this.#reading.add(this.#path, { ...this.position, level: 'error', code, message });
  }

  /**
   * Reports an error; the message starts with the setting's name.
   *
   * @param what the rest of the sentence after the name, such as `must be a path`
   */
  problem(what: string, code?: string): void {
    this.error(`${this.name} ${what}`, code);
  }

  /** Reports that a section lacks a field. */
  missing(field: string): void {
    this.problem(`must have the field "${field}"`, 'missing-field');
  }

  /**
   * Reports that the file that the setting names cannot be used.
   *
   * @param error the error of the system, or one whose message quotes nothing from the file
   */
  unreadable(file: string, error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    const known = code !== undefined || error instanceof UnusableFile;
    const why = known ? fileProblem(error) : `cannot be used: ${fileProblem(error)}`;
    this.error(`${this.name}: ${file} ${why}`, 'unreadable-file');
  }

  /** The path with which the process can open a file that the settings name. */
  resolve(file: string): string {
    return isAbsolute(file) ? file : join(this.#reading.folder, file);
  }
}
