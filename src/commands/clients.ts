import { readFile } from 'node:fs/promises';
import { byPosition, type Finding, formatFinding } from '../document/finding.js';
import { decodeText, NotText } from '../model/text-file.js';
import { ApplyError, applyClient } from './clients/apply.js';
import { CredentialsError } from './clients/credentials.js';
import { HydraAdmin, HydraError } from './clients/hydra.js';
import { type ClientManifest, readManifests } from './clients/manifest.js';
import { type Io, readArgs, UsageError } from './command.js';
import { showProgress } from './progress.js';

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

Options:
  --admin-url URL  Hydra's admin address, for example http://hydra:4445; for
                   Hydra v1 include the path: http://hydra:4445/clients.
                   hydraAdmin in a manifest takes precedence
  --out DIR        the folder for the credentials
  -h, --help       print this help

Exit code:
  0  all clients match their manifests
  1  a client failed, or a manifest has errors (then no client is changed)
  2  bad usage

Example:
  scopegate clients apply --admin-url http://127.0.0.1:4445 --out credentials \\
    config/oauth2client.yaml
`;

/**
 * `scopegate clients apply`: does once what Hydra Maester does continuously.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const options = readOptions(args);
  const { clients, findings } = await readFiles(options.files);
  for (const finding of findings) io.err(`${formatFinding(finding)}\n`);
  // An error in any file stops all: a typo in the last file must not leave the first ones applied.
  if (findings.some(({ level }) => level === 'error')) return 1;
  let status = 0;
  const progress = showProgress(io, 'clients');
  const output = {
    out(text: string): void {
      progress.clear();
      io.out(text);
    },
    err(text: string): void {
      progress.clear();
      io.err(text);
    },
  };
  for (const [index, client] of clients.entries()) {
    progress.step(`${client.namespace}/${client.name}`, index + 1, clients.length);
    if (!(await applyOne(client, options, output))) status = 1;
  }
  progress.end();
  return status;
}

async function applyOne(
  client: ClientManifest,
  { adminUrl, out }: Options,
  io: Pick<Io, 'out' | 'err'>,
): Promise<boolean> {
  const { hydraAdmin } = client;
  const hydra = new HydraAdmin(hydraAdmin?.url ?? adminUrl, hydraAdmin?.forwardedProto);
  const name = `${client.namespace}/${client.name}`;
  try {
    const { did, removed } = await applyClient(client, hydra, out);
    for (const id of removed) {
      const message = `${name}: deleted the client ${id} at Hydra, because its credentials are not in ${out}`;
      io.err(
        `${formatFinding({ ...client.position, level: 'warning', code: 'replaced-client', message })}\n`,
      );
    }
    io.out(`${name} ${did}\n`);
    return true;
  } catch (error) {
    const message = `${name}: ${explain(error)}`;
    io.err(`${formatFinding({ ...client.position, level: 'error', code: 'apply-failed', message })}\n`);
    return false;
  }
}

/**
 * Messages of our own errors hold no secret. For other errors, only the system's code, call and path are
 * printed.
 */
function explain(error: unknown): string {
  if (error instanceof ApplyError || error instanceof HydraError || error instanceof CredentialsError) {
    return error.message;
  }
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined) return 'unexpected failure';
  return [code, syscall, path].filter((part) => part !== undefined).join(' ');
}

interface Options {
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
    { 'admin-url': { type: 'string' }, out: { type: 'string' } },
    true,
  );
  const { 'admin-url': adminUrl, out } = values;
  if (adminUrl === undefined) throw new UsageError('--admin-url is missing');
  const url = URL.canParse(adminUrl) ? new URL(adminUrl) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError('--admin-url must be an http or https URL, such as http://hydra:4445');
  }
  if (url.username !== '' || url.password !== '')
    throw new UsageError('--admin-url must not contain credentials');
  if (out === undefined || out === '') throw new UsageError('--out is missing');
  if (positionals.length === 0) throw new UsageError('a FILE with manifests is missing');
  return { adminUrl, out, files: positionals };
}

async function readFiles(
  files: readonly string[],
): Promise<{ clients: ClientManifest[]; findings: Finding[] }> {
  const clients: ClientManifest[] = [];
  const findings: Finding[] = [];
  for (const file of files) {
    try {
      const text = decodeText(await readFile(file));
      const read = readManifests(text, file);
      clients.push(...read.clients);
      findings.push(...read.findings);
    } catch (error) {
      const why = error instanceof NotText ? 'is not UTF-8 text' : `cannot be read: ${explain(error)}`;
      findings.push({
        file,
        line: 1,
        col: 1,
        level: 'error',
        code: 'unreadable-file',
        message: `the file ${why}`,
      });
    }
  }
  findings.push(...collisions(clients));
  return { clients, findings: findings.sort(byPosition) };
}

/**
 * Finds two manifests for one client, or for one folder of credentials: each run would undo the other one.
 */
function collisions(clients: readonly ClientManifest[]): Finding[] {
  const seen = new Map<string, ClientManifest>();
  const findings: Finding[] = [];
  for (const client of clients) {
    for (const key of [
      `OAuth2Client ${client.namespace}/${client.name}`,
      `secretName ${client.secretName}`,
    ]) {
      const first = seen.get(key);
      seen.set(key, first ?? client);
      if (first === undefined) continue;
      const { file, line } = first.position;
      const message = `${key} is already used in ${file}:${line}`;
      findings.push({ ...client.position, level: 'error', code: 'duplicate-client', message });
    }
  }
  return findings;
}
