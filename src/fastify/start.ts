import { Server as TlsServer } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { LogOutput } from '../app/log-output.js';
import { openLog } from '../app/log-output.js';
import { loadOptions } from '../commands/load.js';
import { loadSettings, type Settings, settingsOf } from '../config/settings.js';
import { type Finding, formatFinding, isError } from '../document/finding.js';
import type { RuleTable } from '../model/rule.js';
import type { LoadOptions } from '../rules/load.js';
import { loadOffThread } from '../rules/off-thread.js';
import type { ScopegateOptions } from './plugin-types.js';

/** Settings and rules without errors. */
export interface Loaded {
  readonly settings: Settings;
  readonly table: RuleTable;
  /** The digest of the rule files. */
  readonly digest: string;
}

/**
 * Loads the settings and rules of the plugin. The rules are loaded on another thread.
 *
 * @param warn called for findings that are not errors
 * @throws Error with all errors, each as `file:line:col level code message`
 */
export async function loadAll(
  app: FastifyInstance,
  options: ScopegateOptions,
  warn: (finding: string) => void,
): Promise<Loaded> {
  const { settings: source, environment = process.env } = options;
  // If the settings are an object, findings name the setting instead of a file.
  const { settings, findings } =
    typeof source === 'string'
      ? loadSettings(source, environment)
      : settingsOf(source, process.cwd(), environment);
  if (settings === undefined) throw failure(findings);
  const rules = await loadOffThread(settings.rules, pluginLoadOptions(app, settings, 1));
  if (rules.fault !== undefined) throw rules.fault;
  const { table, digest } = rules;
  if (table === undefined) throw failure(rules.findings);
  for (const finding of [...findings, ...rules.findings]) warn(formatFinding(finding));
  return { settings, table, digest };
}

/**
 * The settings that loading the plugin's rules depends on. The application's server receives the requests,
 * not a listener of the settings. If it has TLS, it may ask for client certificates.
 */
export function pluginLoadOptions(app: FastifyInstance, settings: Settings, version: number): LoadOptions {
  return {
    ...loadOptions(settings, version),
    clientCertificates: app.server instanceof TlsServer || settings.proof.certificateField !== 'none',
  };
}

function failure(findings: readonly Finding[]): Error {
  const errors = findings.filter(isError).map(formatFinding);
  return new Error(`scopegate: the settings or the rules have errors:\n${errors.join('\n')}`);
}

/**
 * Where the plugin's lines go: to the stream that the application passes, in the gateway's format, or to the
 * application's logger.
 */
export function outputOf(app: FastifyInstance, settings: Settings, options: ScopegateOptions): LogOutput {
  if (options.destination !== undefined) return openLog(settings, options.destination);
  const log = app.log.child({ name: 'scopegate' }) as unknown as Logger;
  // A logger other than pino may have no `isLevelEnabled`.
  const audits = settings.log.audit && (log.isLevelEnabled?.('info') ?? log.info !== log.debug);
  return {
    log,
    audits,
    dropped: () => 0,
    hasRoom: () => true,
    write(line) {
      const { level: _level, time: _time, name: _name, msg, ...fields } = JSON.parse(line);
      log.info(fields, msg);
    },
  };
}
