import { dirname } from 'node:path';
import { byPosition, type Finding } from '../document/finding.js';
import { validate } from '../document/validate.js';
import { type Environment, withEnvironment } from './environment.js';
import { readSettingsFile } from './file.js';
import { Place, Reading } from './place.js';
import { root, settingsSchema } from './schema.js';
import type { Value } from './setting.js';

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
  const { document, findings } = withEnvironment(read.document, environment);
  findings.push(...validate(document, settingsSchema));
  if (findings.length > 0) return { findings: findings.sort(byPosition) };

  const reading = new Reading(document, dirname(file), environment);
  const settings = root.settle(document.value, new Place(reading));
  findings.push(...reading.findings());
  return findings.length > 0 ? { findings } : { settings: { ...settings, file }, findings };
}
