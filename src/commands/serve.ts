import closeWithGrace from 'close-with-grace';
import { type Gateway, startGateway } from '../app/gateway.js';
import { traceOf } from '../observe/redaction.js';
import { loadOffThread } from '../rules/off-thread.js';
import { type Io, readArgs, reportFindings, requireConfig } from './command.js';
import { loadForServing, loadOptions } from './load.js';
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
  --no-color         no colours, also on a terminal
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
  const starting = new Starting();
  try {
    const { settings, table, findings, digest } = await loadForServing(
      requireConfig(values.config),
      io.environment,
      showProgress(io, 'serve'),
      starting.signal,
    );
    reportFindings(io, findings);
    if (settings === undefined || table === undefined) {
      io.err('scopegate: not started: the settings or the rules have errors\n');
      return 1;
    }
    const gateway = await startGateway(settings, table, {
      isColoured: io.styles?.out.colours === true,
      digest,
      load: (version, signal) =>
        loadOffThread(settings.rules, loadOptions(settings, version), { signal, inBackground: true }),
    });
    const { log, proxyUrl, adminUrl } = gateway;
    log.info({ proxy: proxyUrl, admin: adminUrl, rules: table.rules.length }, 'listening');
    // Log lines are written in batches. A script that waits for this line must get it at once.
    log.flush(() => {});
    return await serve(gateway, settings.server.drainTimeout, starting);
  } catch (error) {
    if (starting.signal.aborted) return 0;
    const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
    if (code === undefined) throw error;
    const where = port === undefined ? '' : ` on ${address ?? ''}:${port}`;
    io.err(`scopegate: not started: ${MEANINGS[code] ?? code}${where}\n`);
    return 1;
  } finally {
    starting.end();
  }
}

/** What the codes of listening mean, and what to do. */
const MEANINGS: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'another program has this port; end it, or change listen.proxy.port or listen.admin.port (EADDRINUSE)',
  EACCES: 'this user may not listen on this port; choose one above 1023 (EACCES)',
  EADDRNOTAVAIL:
    'this machine does not have the address of listen.proxy.host or listen.admin.host (EADDRNOTAVAIL)',
};

const ENDING = ['SIGTERM', 'SIGINT'] as const;

/** Handles signals that arrive before the gateway serves, because loading many rules takes a while. */
class Starting {
  readonly #ended = new AbortController();
  readonly #end = () => this.#ended.abort();
  /** Whether a reload was requested after the files were read. */
  wantsReload = false;
  /** Handles SIGHUP. Without a listener, SIGHUP would end the process. */
  onHangUp = (): void => {
    this.wantsReload = true;
  };

  constructor() {
    for (const signal of ENDING) process.on(signal, this.#end);
    process.on('SIGHUP', () => this.onHangUp());
  }

  /** Aborted when a signal asks the process to end. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Stops handling the signals that end the process: from now on, another listener does. */
  end(): void {
    for (const signal of ENDING) process.off(signal, this.#end);
  }
}

/**
 * Serves until a signal ends it.
 *
 * @param drainTimeout milliseconds
 * @returns the exit code
 */
async function serve(gateway: Gateway, drainTimeout: number, starting: Starting): Promise<number> {
  const { log } = gateway;
  if (starting.signal.aborted) {
    await gateway.close();
    return 0;
  }
  starting.onHangUp = () => void gateway.reload();
  if (starting.wantsReload) void gateway.reload();
  return new Promise((resolve) => {
    closeWithGrace(
      { delay: drainTimeout + 2_000, logger: false, skip: ['SIGHUP'] },
      async ({ signal, err }) => {
        if (err !== undefined) log.fatal({ err: traceOf(err) }, 'uncaught error');
        else log.info({ signal }, 'draining');
        const drained = await gateway.close();
        log.info({ drained }, 'ended');
        await new Promise<void>((flushed) => log.flush(() => flushed()));
        resolve(err === undefined ? 0 : 1);
      },
    );
    // Not earlier: a signal without a listener is lost, or ends the process without a drain.
    starting.end();
  });
}
