import { statSync } from 'node:fs';

/** Gives the current value of files that are read again when they change. */
export interface Reread<T> {
  (): T;
  /** The files behind the value, and what became of their last change. */
  readonly files: RereadFiles;
}

/** What became of the last change of some files. */
export interface RereadFiles {
  readonly names: readonly string[];
  /** How often they have been read again with success. */
  readonly renewals: number;
  /** Why the last change was not taken over; undefined if it was. It quotes nothing from a file. */
  readonly failure: unknown;
  /** Reads the files again if they have changed. Throws nothing. */
  look(): void;
}

/**
 * Reads files, and reads them again once one of them has changed. So rotated secrets, keys and certificates
 * take effect without a restart. If a file becomes unreadable or invalid, the last value stays in use.
 *
 * @param names the files that are checked for a change at each use
 * @param read reads and checks the files; the value it returns is the same object until a file changes. What it
 *   throws quotes nothing from a file
 * @returns a function that gives the current value
 * @throws whatever `read` throws at the first reading
 */
export function rereading<T>(names: readonly string[], read: () => T): Reread<T> {
  let stamp = stampOf(names);
  let value = read();
  let renewals = 0;
  let failure: unknown;
  const look = (): void => {
    try {
      const now = stampOf(names);
      if (now !== stamp) {
        value = read();
        stamp = now;
        renewals++;
      }
      failure = undefined;
    } catch (error) {
      // A file may be missing for a moment, after the old one is removed and before the new one is there.
      failure = error;
    }
  };
  const files: RereadFiles = {
    names,
    look,
    get renewals() {
      return renewals;
    },
    get failure() {
      return failure;
    },
  };
  return Object.assign(
    () => {
      look();
      return value;
    },
    { files },
  );
}

/**
 * A text that changes whenever one of the files changes. It only calls stat, so it is cheap enough for every
 * introspection.
 */
function stampOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
      return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
    })
    .join();
}
