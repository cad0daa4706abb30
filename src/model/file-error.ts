import { fileURLToPath } from 'node:url';
import { UnusableFile } from './text-file.js';

/** What the error codes of file systems mean, as the end of a sentence that begins with the file's name. */
const MEANINGS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'cannot be read by the user of this process (EACCES)',
  EPERM: 'cannot be read by the user of this process (EPERM)',
  EISDIR: 'is a folder, not a file',
  ENOTDIR: 'does not exist, because a part of its path is a file',
  ELOOP: 'is a loop of symbolic links',
  ENAMETOOLONG: 'has a name that is too long',
  EMFILE: 'cannot be opened, because this process has too many open files (EMFILE)',
  EROFS: 'is on a file system that cannot be written',
  // Node refuses such a name before it asks the system.
  ERR_INVALID_ARG_VALUE: 'has a name with a NUL character',
  ENOSPC: 'cannot be written, because the file system is full',
};

/**
 * Says why a file cannot be used.
 *
 * @param error the system's, or one whose message contains nothing of the file's content
 * @returns the end of a sentence that begins with the file's name
 */
export function fileProblem(error: unknown): string {
  if (error instanceof UnusableFile) return error.problem;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return message;
  return MEANINGS[code] ?? `cannot be read (${code})`;
}

/**
 * The path of a file URL (RFC 8089).
 *
 * @throws UnusableFile if it has another host, or an escape that no path can have: `%2F`, `%zz`
 */
export function pathOfUrl(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    throw new UnusableFile('has a URL that is not the path of a file on this machine');
  }
}
