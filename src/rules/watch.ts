import { createHash } from 'node:crypto';
import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { readRuleFiles } from './files.js';

/** How changes are noticed; times in milliseconds. */
export interface WatchOptions {
  /** Quiet time after the last event before it counts, so that a storm of events is one change. */
  readonly settle: number;
  /** How often the content is compared whatever the file system says, 0 for never. */
  readonly poll: number;
}

/** A running watch. */
export interface FileWatch {
  /** Looks now, as the poll does. */
  look(): void;
  close(): void;
}

/**
 * What the rule files hold, as a digest: names and contents, in order. Equal digests are equal rule sets, whatever
 * happened to inodes, links and times in between.
 */
export function fingerprint(paths: readonly string[]): string {
  const digest = createHash('sha256');
  const { files, findings } = readRuleFiles(paths);
  for (const { file, text } of files) digest.update(JSON.stringify([file, text]));
  for (const { file, message } of findings) digest.update(JSON.stringify([file, null, message]));
  return digest.digest('base64');
}

/**
 * Tells when the content of files changes: after an editor's rename-and-replace, a ConfigMap's `..data` swap,
 * or, by the poll, on file systems that tell nothing (NFS).
 *
 * @param paths files, and folders of rule files
 * @param changed called once a change, after it has settled; never while it runs itself
 */
export function watchFiles(paths: readonly string[], options: WatchOptions, changed: () => void): FileWatch {
  let seen = fingerprint(paths);
  let settling: NodeJS.Timeout | undefined;
  let closed = false;
  let watchers: FSWatcher[] = [];

  const look = (): void => {
    if (closed) return;
    // A folder that was replaced has another inode: its old watcher hears nothing any more.
    arm();
    const now = fingerprint(paths);
    if (now === seen) return;
    seen = now;
    changed();
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
