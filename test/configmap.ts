import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder as the kubelet mounts a ConfigMap: files are links into `..data`, which is a link to a generation. */
export interface ConfigMap {
  readonly folder: string;
  /** Puts a new generation in place in one rename, as the kubelet does. */
  update(files: Readonly<Record<string, string>>): void;
  remove(): void;
}

/** Mounts one in a temporary folder. */
export function mountConfigMap(files: Readonly<Record<string, string>>): ConfigMap {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-configmap-'));
  let generation = 0;
  let current: string | undefined;
  const update = (next: Readonly<Record<string, string>>): void => {
    const name = `..2026_11_24_${generation++}`;
    mkdirSync(join(folder, name));
    for (const [file, text] of Object.entries(next)) writeFileSync(join(folder, name, file), text);
    symlinkSync(name, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    if (current !== undefined) rmSync(join(folder, current), { recursive: true });
    current = name;
  };
  update(files);
  for (const file of Object.keys(files)) symlinkSync(join('..data', file), join(folder, file));
  return { folder, update, remove: () => rmSync(folder, { recursive: true }) };
}
