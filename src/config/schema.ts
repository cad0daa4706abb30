import { admin } from './sections/admin.js';
import { decisions } from './sections/decisions.js';
import { domain } from './sections/domain.js';
import { enforcement } from './sections/enforcement.js';
import { forward } from './sections/forward.js';
import { introspection } from './sections/introspection/introspection.js';
import { kyma } from './sections/kyma.js';
import { listen } from './sections/listen.js';
import { log } from './sections/log.js';
import { matching } from './sections/matching.js';
import { proof } from './sections/proof.js';
import { realm } from './sections/realm.js';
import { reload } from './sections/reload.js';
import { resources } from './sections/resources.js';
import { rules } from './sections/rules.js';
import { server } from './sections/server.js';
import { services } from './sections/services.js';
import { tracing } from './sections/tracing.js';
import { trustedProxies } from './sections/trusted-proxies.js';
import { type SettingSchema, section } from './setting.js';

export type { SettingSchema } from './setting.js';

/**
 * The sections of the settings. Each one is defined in a file of its own; the order is that of the
 * documentation.
 */
export const sections = {
  listen,
  rules,
  services,
  domain,
  realm,
  trustedProxies,
  resources,
  introspection,
  proof,
  matching,
  kyma,
  enforcement,
  forward,
  decisions,
  admin,
  server,
  tracing,
  reload,
  log,
};

/** All settings. */
export const root = section(
  'The settings file of scopegate. Paths are relative to its folder.',
  sections,
).check(({ proof, introspection }, place) => {
  if (proof.dpop.replays === 'required' && introspection.cache.shared === undefined) {
    const replays = place.at('proof', 'dpop', 'replays');
    replays.error(`${replays.name}: required needs introspection.cache.shared`, 'missing-field');
  }
});

/**
 * The schema of the settings file. Validation, the environment variables, `scopegate schema` and the
 * reference in the docs are all made from it.
 */
export const settingsSchema: SettingSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  $id: 'urn:scopegate:settings',
  title: 'scopegate settings',
  ...root.schema,
};

/** One leaf of the settings: a value that one environment variable can set. */
export interface Leaf {
  readonly path: readonly string[];
  readonly schema: SettingSchema;
}

/** The leaves in the schema's order. Each map and each list is one leaf. */
export function leaves(schema: SettingSchema = settingsSchema, path: readonly string[] = []): Leaf[] {
  if (schema.properties === undefined) return [{ path, schema }];
  return Object.entries(schema.properties).flatMap(([key, child]) => leaves(child, [...path, key]));
}
