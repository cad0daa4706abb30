import { readdirSync } from 'node:fs';

/**
 * Runs the test files of folders in this process, one after the other: each file by itself would pay for a start of its
 * own, which takes longer than most of them. Any of them can be run alone. `.taprc` names the same folders.
 */
export async function together(...folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    const place = new URL(`../${folder}/`, import.meta.url);
    for (const file of readdirSync(place).sort()) {
      if (file.endsWith('.test.js')) await import(new URL(file, place).href);
    }
  }
}
