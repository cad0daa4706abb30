import { dirname, join } from 'node:path';
import { byPosition, type Finding, type Position } from '../document/finding.js';
import { validate } from '../document/validate.js';
import type { Path, SourceDocument } from '../document/yaml.js';
import { type Environment, withEnvironment } from './environment.js';
import { readSettingsFile } from './file.js';
import { type SettingInForce, settingsInForce } from './in-force.js';
import { Place, Reading } from './place.js';
import { root, sections, settingsSchema } from './schema.js';
import { withIstioHint } from './sections/ext-authorizers.js';
import type { Setting, Value } from './setting.js';

export type { SettingInForce } from './in-force.js';
export type { AuthorizationServer } from './sections/introspection/authorization-server.js';
export type { Listener } from './sections/listen.js';
export type { ProofSettings } from './sections/proof.js';

/**
 * The settings with all defaults filled in. Durations are in milliseconds, and file paths are such that the
 * process can open them. The files of the sections, in `sections/`, say what each setting does.
 */
export interface Settings extends Value<typeof root> {
  /** The path of the settings file. */
  readonly file: string;
  /** The same settings as a person would write them, without secrets. */
  readonly inForce: readonly SettingInForce[];
}

/**
 * Reads the settings file, applies the environment variables to it, and checks the result as a whole.
 *
 * @param file the path of the settings file; findings print it as given
 * @param environment the environment variables; those with the prefix `SCOPEGATE_` are settings
 * @returns the settings if no finding is an error
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
 * Reads settings that a program passes: the content of a settings file, as plain data.
 *
 * @param folder the folder that relative paths start from
 * @returns the settings if no finding is an error; findings have the name of the setting in place of a file
 */
export function settingsOf(
  value: Readonly<Record<string, unknown>>,
  folder: string,
  environment: Environment,
): { settings?: Settings; findings: Finding[] } {
  const at = (path: Path): Position => ({ file: ['settings', ...path].join('.'), line: 1, col: 1 });
  // Use a copy, because the caller may change the object after it was checked.
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
  findings.push(...validate(document, settingsSchema).map(withIstioHint));
  if (findings.length > 0) {
    findings.push(...furtherFindings(document, folder, environment));
    return { findings: findings.sort(byPosition) };
  }

  const reading = new Reading(document, folder, environment);
  const settings = root.settle(document.value, new Place(reading));
  findings.push(...reading.findings());
  if (findings.length > 0) return { findings };
  return { settings: { ...settings, file: read.file, inForce: settingsInForce(document) }, findings };
}

/**
 * Runs the checks of single settings on a file that the schema refuses. It checks all sections that are valid
 * by the schema, so that the author sees these problems in the same run.
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
