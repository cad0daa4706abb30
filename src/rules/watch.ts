import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { readRuleFiles } from './files.js';
import { inSlices } from './slices.js';

/** How changes are noticed; times in milliseconds. */
export interface WatchOptions {
  /** Quiet time after the last event before it counts, so that a storm of events is one change. */
  readonly settle: number;
  /** How often the content is compared whatever the file system says, 0 for never. */
  readonly poll: number;
  /** The most bytes that are compared: files that have more do not count as changed where only the rest changes. */
  readonly maxBytes: number;
  /** The digest of what is known already; default: of the contents when the watch begins. */
  readonly seen?: string | undefined;
}

/** A running watch. */
export interface FileWatch {
  /** Looks now, as the poll does. @returns when it has looked */
  look(): Promise<void>;
  close(): void;
}

/**
 * Tells when the content of files changes: after an editor's rename-and-replace, a ConfigMap's `..data` swap,
 * or, by the poll, on file systems that tell nothing (NFS).
 *
 * @param paths files, and folders of rule files
 * @param changed called once a change, after it has settled
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
    // A folder that was replaced has another inode: its old watcher hears nothing any more.
    arm();
    const [known, now] = [await seen, await fingerprint()];
    if (closed || now === known) return;
    seen = Promise.resolve(now);
    changed();
  };
  /** One look at a time, for each must know what the one before saw; and one more where somebody asked meanwhile. */
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
        // Gone, or not to be watched: the poll still looks.
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

/** Folders themselves and the folders of files: a replaced file is an event of its folder. */
function foldersOf(paths: readonly string[]): Set<string> {
  const folders = new Set<string>();
  for (const path of paths) {
    folders.add(dirname(path));
    try {
      if (statSync(path).isDirectory()) folders.add(path);
    } catch {
      // Not there yet; its parent folder tells when it comes.
    }
  }
  return folders;
}
