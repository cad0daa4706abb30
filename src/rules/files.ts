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

/** A rule file and its content. */
export interface RuleFile {
  /** The path with which the file was found; findings print it. */
  readonly file: string;
  /** The content; empty if only the digest was requested. */
  readonly bytes: Buffer;
}

/** The result of {@link readRuleFiles}. */
export interface ReadFiles {
  readonly files: RuleFile[];
  readonly findings: Finding[];
  /**
   * The digest of file names and contents, in order. Equal digests mean equal rule sets, even if inodes,
   * links or times have changed.
   */
  readonly digest: string;
}

/** Options for reading rule files. */
export interface ReadOptions {
  /** The most bytes of all files together. */
  readonly maxBytes: number;
  /** Whether the contents are returned, or only the digest. */
  readonly contents: boolean;
}

/** How often files are read again if they change while they are read. */
const MAX_TRIES = 5;
/** The most rule files, so that reading ends even for a wrong path such as `/`. */
const MAX_FILES = 100_000;
/** Bytes per read. */
const CHUNK = 65_536;

/**
 * Reads rule files, one chunk per step. For a folder it reads the `*.yaml`, `*.yml` and `*.json` in it and in
 * its subfolders, sorted by name. Hidden entries are ignored: a mounted ConfigMap keeps its versions in
 * `..2026_…` and `..data`, next to the symbolic links with the real names. A file that is found twice is read
 * once.
 *
 * @param paths files and folders
 */
export function* readRuleFiles(paths: readonly string[], options: ReadOptions): Generator<void, ReadFiles> {
  const reader = new Reader(options);
  for (const path of paths) yield* reader.visit(path, true);
  return reader.end();
}

/**
 * Reads files, and repeats that until they do not change during the reading. Otherwise a swap of files in the
 * middle would mix two versions.
 *
 * @param maxBytes as in {@link ReadOptions}
 * @param read can be replaced in tests
 * @returns the contents, or a finding if the files keep changing
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
  const message = 'the rule files kept changing while scopegate read them';
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

  /** @param named whether the settings name the file, which is then read whatever its extension is */
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
      this.#end(file, `there are more than ${MAX_FILES} rule files; scopegate stopped reading at this one`);
      return;
    }
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
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
          this.#end(file, `with this file, the rule files have more bytes than ${limit} allows`);
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

  /** Adds a finding and stops reading. */
  #end(file: string, message: string): void {
    this.#isFull = true;
    this.#add(file, 'load-limit', message);
  }

  #add(file: string, code: string, message: string): void {
    this.#digest.update(JSON.stringify([file, null, message]));
    this.#findings.push({ file, line: 1, col: 1, level: 'error', code, message });
  }
}
