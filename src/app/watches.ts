import type { Settings } from '../config/settings.js';
import { watchFiles } from '../rules/watch.js';
import type { Certificates } from './certificates.js';
import type { RulesInForce } from './rules-in-force.js';

/** Quiet time in milliseconds after which a change of files counts. */
const SETTLE = 100;

/**
 * Loads rules and certificates again when their files change, where the settings ask for it.
 *
 * @returns ends it
 */
export function watchAll(settings: Settings, rules: RulesInForce, certificates: Certificates): () => void {
  const { watch, poll } = settings.reload;
  if (!watch) return () => {};
  const watching = { settle: SETTLE, poll };
  const { reloader } = rules;
  const watches = certificates.all.map(([listener, credentials]) =>
    watchFiles(credentials.files, watching, () => certificates.renew(listener, credentials)),
  );
  if (reloader !== undefined) watches.push(watchFiles(settings.rules, watching, () => reloader.reload()));
  return () => {
    for (const each of watches) each.close();
  };
}
