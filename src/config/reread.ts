import { statSync } from 'node:fs';

/**
 * What files hold, read anew once one of them has changed: rotated secrets, keys and certificates count without a
 * restart. What became unreadable or unusable leaves the last value in force.
 *
 * @param files whose change is looked for at each use
 * @param read reads and checks them; the value it returns is the same object until a file changes
 * @returns the value in force
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
      // Between the removal of the old file and the arrival of the new one there may be none.
    }
    return value;
  };
}

/** Changes whenever one of the files does; cheap enough for every introspection. */
function stampOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
      return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
    })
    .join();
}
