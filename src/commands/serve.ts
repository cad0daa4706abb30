import closeWithGrace from 'close-with-grace';
import { type Gateway, startGateway } from '../app/gateway.js';
import { formatFinding } from '../document/finding.js';
import { traceOf } from '../observe/redaction.js';
import { loadRules } from '../rules/load.js';
import { type Io, readArgs, requireConfig } from './command.js';
import { load, loadOptions } from './load.js';
import { showProgress } from './progress.js';

export const help = `Usage: scopegate serve --config FILE

Runs the gateway: requests come in on listen.proxy, health and the like on
listen.admin. Log lines (JSON) go to standard output, one audit line a decision.

SIGTERM or SIGINT drains: readiness turns false, no new connection is taken,
requests in flight are answered for up to server.drainTimeout, then it exits.
A second signal ends it at once.

Rule files that change are loaded again, all or nothing, and certificates of the
listeners are renewed; SIGHUP does both at once. What is broken changes nothing:
what was in force stays, and the log says why. Settings are read at the start.

Options:
  -c, --config FILE  the settings file (YAML or JSON)
  -h, --help         print this help

Environment:
  SCOPEGATE_<PATH>   overrides one setting, SCOPEGATE_LISTEN_PROXY_PORT=8080
  OTEL_EXPORTER_OTLP_ENDPOINT
                     where spans go, if tracing.endpoint does not say; other
                     variables of OpenTelemetry count as well

Exit code:
  0  ended after a drain
  1  bad settings or rules, or a port that cannot be taken
  2  bad usage

Example:
  scopegate serve --config config/folder.yaml
`;

/** `scopegate serve`: runs the gateway until a signal ends it. */
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
  // Whoever waits for this line does not wait for others to fill the batch.
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
