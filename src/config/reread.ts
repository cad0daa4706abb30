import { statSync } from 'node:fs';

/**
 * Reads files, and reads them again once one of them has changed. So rotated secrets, keys and certificates
 * take effect without a restart. If a file becomes unreadable or invalid, the last value stays in use.
 *
 * @param files the files that are checked for a change at each use
 * @param read reads and checks the files; the value it returns is the same object until a file changes
 * @returns a function that gives the current value
 * @throws whatever `read` throws at the first reading
 */
export function rereading<T>(files: readonly string[], read: () => T): () => T {
  let stamp = stampOf(files);
  let value = read();
  return () => {
    try {
      const now = stampOf(files);
      if (now !== stamp) {
        value = read();
        stamp = now;
      }
    } catch {
      // A file may be missing for a moment, after the old one is removed and before the new one is there.
    }
    return value;
  };
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
