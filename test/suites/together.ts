import { readdirSync } from 'node:fs';
import t from 'tap';

/**
 * Runs the test files of folders in this process, one after the other: each file by itself would pay for a start of its
 * own, which takes longer than most of them. Any of them can be run alone. `.taprc` names the same folders.
 */
export async function together(...folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    const place = new URL(`../${folder}/`, import.meta.url);
    for (const file of readdirSync(place).sort()) {
      if (!file.endsWith('.test.js')) continue;
      await import(new URL(file, place).href);
      // With several at once, a test that computes for seconds would let the calls of others time out.
      if (t.jobs !== 1)
        throw new Error(`${folder}/${file} sets t.jobs, which holds for all files that run together`);
    }
  }
}
