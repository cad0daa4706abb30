import closeWithGrace from 'close-with-grace';
import { type Gateway, startGateway } from '../app/gateway.js';
import { formatFinding } from '../document/finding.js';
import { traceOf } from '../observe/redaction.js';
import { loadRules } from '../rules/load.js';
import { type Io, readArgs, requireConfig } from './command.js';
import { load, loadOptions } from './load.js';
import { showProgress } from './progress.js';

export const help = `Usage: scopegate serve --config FILE

Runs the gateway. It accepts requests on listen.proxy; health checks, metrics
and the admin page are on listen.admin. The log goes to standard output as JSON,
with one audit line per decision.

SIGTERM or SIGINT drains: readiness turns false, no new connection is accepted,
requests in flight have up to server.drainTimeout to finish, then the process
exits. A second signal ends it at once.

When rule files change, scopegate reloads all rules together; when certificate
files of the listeners change, it reloads the certificates. SIGHUP reloads both
at once. If the new files have errors, the old rules or certificates stay in
use, and the log says why. Settings are read at the start only.

Options:
  -c, --config FILE  the settings file (YAML or JSON)
  -h, --help         print this help

Environment:
  SCOPEGATE_<PATH>   overrides one setting, for example
                     SCOPEGATE_LISTEN_PROXY_PORT=8080
  OTEL_EXPORTER_OTLP_ENDPOINT
                     where spans are sent, if tracing.endpoint is not set; other
                     OpenTelemetry variables work too

Exit code:
  0  ended after a drain
  1  the settings or rules have errors, or a port is not available
  2  bad usage

Example:
  scopegate serve --config config/folder.yaml
`;

/**
 * `scopegate serve`: runs the gateway until a signal ends it.
 *
 * @returns the exit code, after the drain
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = readArgs(args, { config: { type: 'string', short: 'c' } });
  const { settings, table, findings } = load(
    requireConfig(values.config),
    io.environment,
    showProgress(io, 'serve'),
  );
  for (const finding of findings) io.err(`${formatFinding(finding)}\n`);
  if (settings === undefined || table === undefined) {
    io.err('scopegate: not started: the settings or the rules have errors\n');
    return 1;
  }

  let gateway: Gateway;
  try {
    gateway = await startGateway(settings, table, {
      load: (version) => loadRules(settings.rules, loadOptions(settings, version)),
    });
  } catch (error) {
    const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
    if (code === undefined) throw error;
    io.err(`scopegate: not started: ${code}${port === undefined ? '' : ` on ${address ?? ''}:${port}`}\n`);
    return 1;
  }
  const { log, proxyUrl, adminUrl } = gateway;
  log.info({ proxy: proxyUrl, admin: adminUrl, rules: table.rules.length }, 'listening');
  // Log lines are written in batches. A script that waits for this line must get it at once.
  log.flush(() => {});

  process.on('SIGHUP', () => gateway.reload());
  return new Promise((resolve) => {
    closeWithGrace(
      { delay: settings.server.drainTimeout + 2_000, logger: false, skip: ['SIGHUP'] },
      async ({ signal, err }) => {
        if (err !== undefined) log.fatal({ err: traceOf(err) }, 'uncaught error');
        else log.info({ signal }, 'draining');
        const drained = await gateway.close();
        log.info({ drained }, 'ended');
        await new Promise<void>((flushed) => log.flush(() => flushed()));
        resolve(err === undefined ? 0 : 1);
      },
    );
  });
}
