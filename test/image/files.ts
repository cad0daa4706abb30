import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Every file of a folder and its subfolders. */
export function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesOf(path) : [path];
  });
}
