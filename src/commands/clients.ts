import { isError } from '../document/finding.js';
import { parseDuration } from '../model/duration.js';
import { ApplyError, applyClient } from './clients/apply.js';
import { CredentialsError } from './clients/credentials.js';
import { codeOf, readFiles } from './clients/files.js';
import { HydraAdmin, HydraError } from './clients/hydra.js';
import type { ClientManifest } from './clients/manifest.js';
import { watch } from './clients/watch.js';
import { type Io, readArgs, reportFindings, UsageError } from './command.js';
import { type ShownProgress, showProgress } from './progress.js';

/** The default of `--interval`. */
const INTERVAL = '30s';

export const help = `Usage: scopegate clients apply --admin-url URL --out DIR FILE...

Creates or updates Hydra clients from OAuth2Client manifests
(hydra.ory.sh/v1alpha1), as Hydra Maester does. It creates a client that Hydra
does not have, replaces one that differs from its manifest, and leaves the
others unchanged. It prints one line per client to standard output:

  namespace/name created|updated|unchanged

If a client fails, an error goes to standard error and the next client follows.

Credentials are written as files with mode 0600, laid out like a mounted
Kubernetes Secret: client_id and client_secret in DIR/<secretName>. If these
files are missing but Hydra has a client with the same owner, that client's
secret is lost: scopegate deletes the client and creates a new one.

A Kubernetes Secret in the files gives its CLIENT_ID and CLIENT_SECRET to the
OAuth2Client that names it in secretName; otherwise Hydra generates them.

With --watch, scopegate reads the files and compares Hydra with them again and
again, until it gets SIGTERM or SIGINT. If Hydra has lost its clients, such as a
Hydra in memory after a restart, scopegate creates them again with the same ids
and secrets. It prints only changes.

Options:
  --admin-url URL  Hydra's admin address, for example http://hydra:4445; for
                   Hydra v1 include the path: http://hydra:4445/clients.
                   hydraAdmin in a manifest takes precedence
  --out DIR        the folder for the credentials
  --watch          keep running, and repeat all steps every --interval
  --interval TIME  with --watch, the pause between two rounds; default 30s
  --no-color       no colours, also on a terminal
  -h, --help       print this help

Exit code:
  0  all clients match their manifests; with --watch, a signal ended it
  1  a client failed, or a manifest has errors (then no client is changed)
  2  bad usage

Example:
  scopegate clients apply --admin-url http://127.0.0.1:4445 --out credentials \\
    config/oauth2client.yaml
`;

/**
 * `scopegate clients apply`: does what Hydra Maester does, once or with `--watch` continuously.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const options = readOptions(args);
  if (options.interval === undefined) {
    const progress = showProgress(io, 'clients');
    const failed = await applyAll(options, {
      ...io,
      out(text) {
        progress.clear();
        io.out(text);
      },
      err(text) {
        progress.clear();
        io.err(text);
      },
      step: progress.step,
    });
    progress.end();
    return failed ? 1 : 0;
  }
  return await watch(options.interval, (output) => applyAll(options, output), io);
}

interface Output extends Pick<Io, 'out' | 'err' | 'styles'> {
  readonly step: ShownProgress['step'];
}

/** @returns whether something failed */
async function applyAll({ adminUrl, out, files }: Options, output: Output): Promise<boolean> {
  const { clients, findings } = await readFiles(files);
  for (const finding of findings) reportFindings(output, [finding]);
  // An error in any file stops all: a typo in the last file must not leave the first ones applied.
  if (findings.some(isError)) return true;
  let failed = false;
  for (const [index, client] of clients.entries()) {
    output.step(`${client.namespace}/${client.name}`, index + 1, clients.length);
    if (!(await applyOne(client, adminUrl, out, output))) failed = true;
  }
  return failed;
}

async function applyOne(
  client: ClientManifest,
  adminUrl: string,
  out: string,
  output: Output,
): Promise<boolean> {
  const { hydraAdmin } = client;
  const hydra = new HydraAdmin(hydraAdmin?.url ?? adminUrl, hydraAdmin?.forwardedProto);
  const name = `${client.namespace}/${client.name}`;
  try {
    const { did, removed } = await applyClient(client, hydra, out, (page, seen) =>
      output.step(`${name}: page ${page} of Hydra's list`, seen, seen),
    );
    for (const id of removed) {
      const why =
        client.given === undefined
          ? `its credentials are not in ${out}`
          : 'a Secret now sets other credentials';
      const message = `${name}: deleted the client ${id} at Hydra, because ${why}`;
      reportFindings(output, [{ ...client.position, level: 'warning', code: 'replaced-client', message }]);
    }
    output.out(`${name} ${did}\n`);
    return true;
  } catch (error) {
    const message = `${name}: ${explain(error)}`;
    reportFindings(output, [{ ...client.position, level: 'error', code: 'apply-failed', message }]);
    return false;
  }
}

/**
 * Messages of our own errors hold no secret. For other errors, only the system's code, call and path are
 * printed.
 */
function explain(error: unknown): string {
  return error instanceof ApplyError || error instanceof HydraError || error instanceof CredentialsError
    ? error.message
    : codeOf(error);
}

interface Options {
  /** Milliseconds from one round to the next; undefined for a single round. */
  readonly interval: number | undefined;
  readonly adminUrl: string;
  readonly out: string;
  readonly files: readonly string[];
}

/** @throws UsageError */
function readOptions(args: readonly string[]): Options {
  const [verb, ...rest] = args;
  if (verb !== 'apply') {
    throw new UsageError(
      verb === undefined
        ? 'clients needs a subcommand: clients apply'
        : `clients has no subcommand "${verb}": use clients apply`,
    );
  }
  const { values, positionals } = readArgs(
    rest,
    {
      'admin-url': { type: 'string' },
      out: { type: 'string' },
      watch: { type: 'boolean' },
      interval: { type: 'string' },
    },
    true,
  );
  const { 'admin-url': adminUrl, out, watch: watches = false, interval } = values;
  if (adminUrl === undefined) throw new UsageError('--admin-url is missing');
  const url = URL.canParse(adminUrl) ? new URL(adminUrl) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError('--admin-url must be an http or https URL, such as http://hydra:4445');
  }
  if (url.username !== '' || url.password !== '')
    throw new UsageError('--admin-url must not contain credentials');
  if (out === undefined || out === '') throw new UsageError('--out is missing');
  if (positionals.length === 0) throw new UsageError('a FILE with manifests is missing');
  if (interval !== undefined && !watches) throw new UsageError('--interval needs --watch');
  const milliseconds = parseDuration(interval ?? INTERVAL);
  if (milliseconds === undefined || milliseconds === 0) {
    throw new UsageError('--interval must be a duration above zero, such as 30s or 5m');
  }
  return { adminUrl, out, files: positionals, interval: watches ? milliseconds : undefined };
}
