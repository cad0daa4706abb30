import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Finding } from '../document/finding.js';
import { fileProblem } from '../model/file-error.js';
import { atOnce } from './slices.js';

/** A rule file's content. */
export interface RuleFile {
  /** The path as it was found, which is what findings print. */
  readonly file: string;
  /** Empty if only the digest was asked for. */
  readonly bytes: Buffer;
}

/** What {@link readRuleFiles} found. */
export interface ReadFiles {
  readonly files: RuleFile[];
  readonly findings: Finding[];
  /**
   * Of names and contents, in order. Equal digests are equal rule sets, whatever happened to inodes, links and times
   * in between.
   */
  readonly digest: string;
}

/** How rule files are read. */
export interface ReadOptions {
  /** The most bytes that all files together may have. */
  readonly maxBytes: number;
  /** Whether contents are wanted, and not the digest alone. */
  readonly contents: boolean;
}

/** Files that change while they are read are read again, so often at most. */
const MAX_TRIES = 5;
/** The most rule files: a bound, so that a wrong path, such as `/`, ends. */
const MAX_FILES = 100_000;
/** Bytes that are read at once. */
const CHUNK = 65_536;

/**
 * Reads rule files, a chunk a step. A folder stands for its `*.yaml`, `*.yml` and `*.json` and those of its subfolders,
 * in order of their names. Hidden entries are passed over: a mounted ConfigMap keeps its generations in `..2026_…` and
 * `..data` beside the symbolic links that are its real names. A file that is reached twice is read once.
 *
 * @param paths files and folders
 */
export function* readRuleFiles(paths: readonly string[], options: ReadOptions): Generator<void, ReadFiles> {
  const reader = new Reader(options);
  for (const path of paths) yield* reader.visit(path, true);
  return reader.end();
}

/**
 * Reads files that do not change meanwhile: a swap in the middle would mix two generations of files.
 *
 * @param maxBytes as {@link ReadOptions} has it
 * @param read for tests
 * @returns the contents, or a finding if the files never stand still
 */
export function readUnchanged(
  paths: readonly string[],
  maxBytes: number,
  read: typeof readRuleFiles = readRuleFiles,
): ReadFiles {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const found = atOnce(read(paths, { maxBytes, contents: true }));
    const { digest } = atOnce(read(paths, { maxBytes, contents: false }));
    if (digest === found.digest) return found;
  }
  const [file = 'rules'] = paths;
  const message = 'the rule files keep changing while they are read';
  return {
    files: [],
    findings: [{ file, line: 1, col: 1, level: 'error', code: 'unstable-files', message }],
    digest: '',
  };
}

class Reader {
  readonly #options: ReadOptions;
  readonly #files: RuleFile[] = [];
  readonly #findings: Finding[] = [];
  readonly #digest: Hash = createHash('sha256');
  readonly #seen = new Set<string>();
  readonly #buffer = Buffer.allocUnsafe(CHUNK);
  #bytes = 0;
  #isFull = false;

  constructor(options: ReadOptions) {
    this.#options = options;
  }

  /** @param named whether it is taken whatever its name is */
  *visit(path: string, named: boolean): Generator<void> {
    if (this.#isFull) return;
    yield;
    try {
      const real = realpathSync(path);
      if (this.#seen.has(real)) return;
      const stats = statSync(path);
      if (stats.isDirectory()) {
        this.#seen.add(real);
        for (const name of readdirSync(path).sort()) {
          if (!name.startsWith('.')) yield* this.visit(join(path, name), false);
        }
      } else if (named || /\.(ya?ml|json)$/.test(path)) {
        this.#seen.add(real);
        yield* this.#read(path);
      }
    } catch (error) {
      this.#add(path, 'unreadable-file', `the rule file or folder ${path} ${fileProblem(error)}`);
    }
  }

  end(): ReadFiles {
    return { files: this.#files, findings: this.#findings, digest: this.#digest.digest('base64') };
  }

  *#read(file: string): Generator<void> {
    if (this.#files.length >= MAX_FILES) {
      this.#end(file, `there are more than ${MAX_FILES} rule files, and reading ended at this one`);
      return;
    }
    // Opening a named pipe would wait for a writer.
    const descriptor = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      if (!fstatSync(descriptor).isFile()) throw new Error('is not a regular file');
      this.#digest.update(JSON.stringify([file]));
      const chunks: Buffer[] = [];
      let size = 0;
      for (;;) {
        const read = readSync(descriptor, this.#buffer, 0, CHUNK, null);
        if (read === 0) break;
        size += read;
        if (this.#bytes + size > this.#options.maxBytes) {
          const limit = `reload.maxBytes (${this.#options.maxBytes})`;
          this.#end(file, `with this file the rule files have more bytes than ${limit} allows`);
          return;
        }
        const chunk = this.#buffer.subarray(0, read);
        this.#digest.update(chunk);
        if (this.#options.contents) chunks.push(Buffer.from(chunk));
        yield;
      }
      this.#digest.update(JSON.stringify([size]));
      this.#bytes += size;
      this.#files.push({ file, bytes: Buffer.concat(chunks) });
    } finally {
      closeSync(descriptor);
    }
  }

  /** Nothing more is read. */
  #end(file: string, message: string): void {
    this.#isFull = true;
    this.#add(file, 'load-limit', message);
  }

  #add(file: string, code: string, message: string): void {
    this.#digest.update(JSON.stringify([file, null, message]));
    this.#findings.push({ file, line: 1, col: 1, level: 'error', code, message });
  }
}
