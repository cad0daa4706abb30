import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readRegularFile } from '../../model/text-file.js';

/** The credentials of a client that a folder holds. */
export interface Credentials {
  readonly id?: string;
  readonly secret?: string;
}

/**
 * File names. Hydra Maester before v0.0.31 used lower case, which is also what scopegate writes; later
 * versions use upper case.
 */
export const NAMES = { id: ['client_id', 'CLIENT_ID'], secret: ['client_secret', 'CLIENT_SECRET'] } as const;

/** The credentials in a folder cannot be used. */
export class CredentialsError extends Error {}

/**
 * Reads a folder that is laid out like a mounted Kubernetes Secret, one file per key.
 *
 * @returns the parts that the folder holds
 * @throws CredentialsError if both files of a key exist and differ; errors of the file system
 */
export async function readCredentials(folder: string): Promise<Credentials> {
  const [id, secret] = [await readKey(folder, NAMES.id), await readKey(folder, NAMES.secret)];
  return { ...(id === undefined ? {} : { id }), ...(secret === undefined ? {} : { secret }) };
}

/**
 * Makes the folder, accessible to its owner only.
 *
 * @throws errors of the file system
 */
export async function prepareFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
}

/**
 * Writes the credentials with mode 0600. A reader never sees half a file, nor the id of one client with the
 * secret of another: the old files are removed first, and the id is written last.
 *
 * @throws errors of the file system
 */
export async function writeCredentials(folder: string, { id, secret }: Credentials): Promise<void> {
  await prepareFolder(folder);
  for (const name of [...NAMES.id, ...NAMES.secret]) await rm(join(folder, name), { force: true });
  if (secret !== undefined) await writeFile(folder, NAMES.secret[0], secret);
  if (id !== undefined) await writeFile(folder, NAMES.id[0], id);
}

async function readKey(folder: string, names: readonly string[]): Promise<string | undefined> {
  const values = new Set<string>();
  for (const name of names) {
    try {
      const value = (await readRegularFile(join(folder, name))).replace(/\r?\n$/, '');
      if (value !== '') values.add(value);
    } catch (error) {
      // If the folder is a file, the later write reports it.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
  }
  if (values.size > 1)
    throw new CredentialsError(`${names.join(' and ')} in ${folder} differ: delete the wrong one`);
  return [...values][0];
}

async function writeFile(folder: string, name: string, value: string): Promise<void> {
  const temporary = join(folder, `.${name}.${randomBytes(6).toString('hex')}`);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(value);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(folder, name));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
