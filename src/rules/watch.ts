import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { readRuleFiles } from './files.js';
import { inSlices } from './slices.js';

/** Options for detecting changes; times in milliseconds. */
export interface WatchOptions {
  /** The time without events after which a change counts, so that a burst of events is one change. */
  readonly settle: number;
  /** The interval for comparing the content, even without an event of the file system; 0 for never. */
  readonly poll: number;
  /** The most bytes that are compared. If the files have more, changes in the rest are not noticed. */
  readonly maxBytes: number;
  /** The digest of the known content; default: of the content when the watch begins. */
  readonly seen?: string | undefined;
}

/** A running watch. */
export interface FileWatch {
  /** Checks now, as the poll does. @returns when the check is done */
  look(): Promise<void>;
  close(): void;
}

/**
 * Notices when the content of files changes: after an editor renames and replaces a file, after a ConfigMap
 * swaps `..data`, and, with the poll, on file systems without events (NFS).
 *
 * @param paths files, and folders of rule files
 * @param changed called once per change, after it has settled
 */
export function watchFiles(paths: readonly string[], options: WatchOptions, changed: () => void): FileWatch {
  const fingerprint = async (): Promise<string> =>
    (await inSlices(readRuleFiles(paths, { maxBytes: options.maxBytes, contents: false }))).digest;
  let seen = options.seen === undefined ? fingerprint() : Promise.resolve(options.seen);
  let settling: NodeJS.Timeout | undefined;
  let looking: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let closed = false;
  let watchers: FSWatcher[] = [];

  const lookOnce = async (): Promise<void> => {
    if (closed) return;
    // A folder that was replaced has a new inode, and its old watcher gets no more events.
    arm();
    const [known, now] = [await seen, await fingerprint()];
    if (closed || now === known) return;
    seen = Promise.resolve(now);
    changed();
  };
  /**
   * Only one check runs at a time, because each one needs the result of the previous one. A request during a
   * check causes one more check.
   */
  const look = (): Promise<void> => {
    if (looking === undefined) {
      looking = lookOnce().finally(() => {
        looking = undefined;
      });
      return looking;
    }
    next ??= looking.then(() => {
      next = undefined;
      return look();
    });
    return next;
  };
  const settle = (): void => {
    clearTimeout(settling);
    settling = setTimeout(look, options.settle);
  };
  const arm = (): void => {
    for (const watcher of watchers) watcher.close();
    watchers = [];
    for (const folder of foldersOf(paths)) {
      try {
        const watcher = watch(folder, { persistent: false }, settle);
        watcher.on('error', settle);
        watchers.push(watcher);
      } catch {
        // The folder is gone or cannot be watched. The poll still checks it.
      }
    }
  };

  arm();
  const poll = options.poll > 0 ? setInterval(look, options.poll).unref() : undefined;
  return {
    look,
    close() {
      closed = true;
      clearTimeout(settling);
      clearInterval(poll);
      for (const watcher of watchers) watcher.close();
    },
  };
}

/**
 * The folders to watch: the given folders, and those that contain the given files, because the event for a
 * replaced file is one of its folder.
 */
function foldersOf(paths: readonly string[]): Set<string> {
  const folders = new Set<string>();
  for (const path of paths) {
    folders.add(dirname(path));
    try {
      if (statSync(path).isDirectory()) folders.add(path);
    } catch {
      // The folder does not exist yet. Its parent folder has an event when it is created.
    }
  }
  return folders;
}
