import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scope } from '../gateway.js';

/** A pipe that nobody reads unless asked to. */
export function pipe(t: Scope): { writer: number; read(): string; closeReader(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-pipe-'));
  const path = join(folder, 'pipe');
  spawnSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  let open = true;
  const closeReader = () => {
    if (open) closeSync(reader);
    open = false;
  };
  t.teardown(() => {
    closeReader();
    closeSync(writer);
    rmSync(folder, { recursive: true });
  });
  return {
    writer,
    closeReader,
    read() {
      const chunk = Buffer.alloc(1 << 20);
      try {
        return chunk.toString('utf8', 0, readSync(reader, chunk));
      } catch {
        return '';
      }
    },
  };
}
