import { readFileSync } from 'node:fs';

/**
 * The version of the package. It is read from the package.json beside the built files, or from a folder above
 * them in a checkout.
 */
export const version: string = readVersion();

function readVersion(): string {
  for (const path of ['../package.json', '../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
      if (name === 'scopegate') return String(version);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return 'unknown';
}
