import { accessSync, constants } from 'node:fs';

/**
 * Looks for files that a contender needs.
 *
 * @param files each needed file, and how to get it
 * @returns what is missing and how to get it, or undefined if all of them can be read
 */
export function absent(files: Readonly<Record<string, string>>): string | undefined {
  for (const [file, how] of Object.entries(files)) {
    try {
      accessSync(file);
    } catch {
      return `${file} is not there; ${how}`;
    }
  }
  return undefined;
}

/**
 * Looks for a program that an environment variable names.
 *
 * @param how where the program comes from
 * @returns what is missing and how to get it, or undefined if the variable names an executable file
 */
export function unnamed(variable: string, how: string): string | undefined {
  const file = process.env[variable];
  if (file === undefined || file === '') return `${variable} does not name its binary; ${how}`;
  try {
    accessSync(file, constants.X_OK);
  } catch {
    return `${variable} names ${file}, which cannot be run; ${how}`;
  }
  return undefined;
}
