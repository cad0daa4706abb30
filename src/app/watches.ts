import type { Settings } from '../config/settings.js';
import { watchFiles } from '../rules/watch.js';
import type { Certificates } from './certificates.js';
import type { RulesInForce } from './rules-in-force.js';

/** Quiet time in milliseconds after which a change of files counts. */
const SETTLE = 100;

/**
 * Loads rules and certificates again when their files change, where the settings ask for it.
 *
 * @param digest of the rule files that the first set was read from; if they differ by now, they are loaded again
 * @returns ends it
 */
export function watchAll(
  settings: Settings,
  rules: RulesInForce,
  certificates: Certificates,
  digest: string | undefined,
): () => void {
  const { watch, poll, maxBytes } = settings.reload;
  const endRules = watchRules(settings, rules, digest);
  if (!watch) return endRules;
  const watching = { settle: SETTLE, poll, maxBytes };
  const watches = certificates.all.map(([listener, credentials]) =>
    watchFiles(credentials.files, watching, () => certificates.renew(listener, credentials)),
  );
  return () => {
    endRules();
    for (const each of watches) each.close();
  };
}

/**
 * Loads rules again when their files change, where the settings ask for it.
 *
 * @param digest as above
 * @returns ends it
 */
export function watchRules(
  settings: Settings,
  { reloader }: RulesInForce,
  digest: string | undefined,
): () => void {
  const { watch, poll, maxBytes } = settings.reload;
  if (!watch || reloader === undefined) return () => {};
  const watching = { settle: SETTLE, poll, maxBytes, seen: digest };
  const watches = watchFiles(settings.rules, watching, () => void reloader.reload());
  return () => watches.close();
}
