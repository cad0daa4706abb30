import type { Settings } from '../config/settings.js';
import { watchFiles } from '../rules/watch.js';
import type { Certificates } from './certificates.js';
import type { RulesInForce } from './rules-in-force.js';

/** How long files must stay unchanged before a change counts, in milliseconds. */
const SETTLE = 100;

/**
 * Reloads rules and certificates when their files change, if the settings enable it.
 *
 * @param digest of the rule files that the first rule set was read from; if they have changed since, they are
 *   reloaded
 * @returns a function that stops watching
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
 * Reloads rules when their files change, if the settings enable it.
 *
 * @param digest as above
 * @returns a function that stops watching
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
