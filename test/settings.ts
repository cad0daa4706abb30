import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadSettings, type Settings } from '../src/config/settings.js';
import { formatFinding } from '../src/document/finding.js';

/**
 * Settings as the file would give them, with a test's own values laid over minimal ones.
 *
 * @param rules paths of rule files and folders
 * @param more keys of the settings file
 */
export function settingsFor(
  rules: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): Settings {
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-settings-'));
  const file = join(folder, 'settings.yaml');
  const minimal = {
    listen: { proxy: { host: '127.0.0.1', port: 0 }, admin: { host: '127.0.0.1', port: 0 } },
    rules,
    introspection: { url: 'http://127.0.0.1:9/introspect' },
  };
  try {
    writeFileSync(file, JSON.stringify({ ...minimal, ...more }));
    const { settings, findings } = loadSettings(file, {});
    if (settings === undefined) throw new Error(findings.map(formatFinding).join('\n'));
    return settings;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
