import { dirname, join } from 'node:path';
import { byPosition, type Finding, type Position } from '../document/finding.js';
import { validate } from '../document/validate.js';
import type { Path, SourceDocument } from '../document/yaml.js';
import { type Environment, withEnvironment } from './environment.js';
import { readSettingsFile } from './file.js';
import { Place, Reading } from './place.js';
import { root, sections, settingsSchema } from './schema.js';
import type { Setting, Value } from './setting.js';

export type { AuthorizationServer } from './sections/introspection/authorization-server.js';
export type { Listener } from './sections/listen.js';
export type { ProofSettings } from './sections/proof.js';

/**
 * The settings with all defaults in place. Durations are milliseconds; paths of files are as the process can open
 * them. What each one does stands in the file of its section, in `sections/`.
 */
export interface Settings extends Value<typeof root> {
  /** The settings file itself. */
  readonly file: string;
}

/**
 * Reads the settings file, lays the environment over it, and checks both as a whole.
 *
 * @param file the settings file's path; findings name it as it is given
 * @param environment the variables, of which those with the prefix `SCOPEGATE_` count
 * @returns the settings where no finding is an error
 */
export function loadSettings(
  file: string,
  environment: Environment,
): { settings?: Settings; findings: Finding[] } {
  const read = readSettingsFile(file);
  if (read.document === undefined) return { findings: read.findings };
  return settle(read.document, dirname(file), environment);
}

/**
 * Reads settings that stand in a program: what a settings file would have, as plain data.
 *
 * @param folder where relative paths start from
 * @returns the settings if no finding is an error; findings have the name of the setting in place of a file
 */
export function settingsOf(
  value: Readonly<Record<string, unknown>>,
  folder: string,
  environment: Environment,
): { settings?: Settings; findings: Finding[] } {
  const at = (path: Path): Position => ({ file: ['settings', ...path].join('.'), line: 1, col: 1 });
  // A copy: who changes the object later must not change what was checked.
  const copy: unknown = JSON.parse(JSON.stringify(value));
  const document = { file: join(folder, 'settings'), value: copy, at, keyAt: at };
  return settle(document, folder, environment);
}

function settle(
  read: SourceDocument,
  folder: string,
  environment: Environment,
): { settings?: Settings; findings: Finding[] } {
  const { document, findings } = withEnvironment(read, environment);
  findings.push(...validate(document, settingsSchema));
  if (findings.length > 0) {
    findings.push(...furtherFindings(document, folder, environment));
    return { findings: findings.sort(byPosition) };
  }

  const reading = new Reading(document, folder, environment);
  const settings = root.settle(document.value, new Place(reading));
  findings.push(...reading.findings());
  return findings.length > 0 ? { findings } : { settings: { ...settings, file: read.file }, findings };
}

/**
 * What the checks of single settings say of a file that the schema refuses, so that its author sees it in the same
 * run: of all sections that the schema itself accepts.
 */
function furtherFindings(document: SourceDocument, folder: string, environment: Environment): Finding[] {
  if (typeof document.value !== 'object' || document.value === null) return [];
  const reading = new Reading(document, folder, environment);
  const known: Readonly<Record<string, Setting<unknown>>> = sections;
  for (const [key, value] of Object.entries(document.value)) {
    const setting = Object.hasOwn(known, key) ? known[key] : undefined;
    if (setting === undefined || validate(document, setting.schema, [key], value).length > 0) continue;
    setting.settle(value, new Place(reading).at(key));
  }
  return reading.findings();
}
