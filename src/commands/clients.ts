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

Makes OAuth2Client manifests (hydra.ory.sh/v1alpha1) true at Hydra's admin port,
as Hydra Maester does: creates what is missing, replaces what differs, leaves
what is right. Prints one line a client to standard output:

  namespace/name created|updated|unchanged

One that failed is told of on standard error, and the others go on.

Each client's credentials are kept, with mode 0600, as a mounted Kubernetes
Secret would be: DIR/<secretName>/client_id and DIR/<secretName>/client_secret.
Without them a client of the same owner is of no use to anyone: it is deleted
and a new one made.

Options:
  --admin-url URL  Hydra's admin port, http://hydra:4445; for Hydra v1 with the
                   path, http://hydra:4445/clients. A manifest's own hydraAdmin
                   goes before it
  --out DIR        the folder for the credentials
  -h, --help       print this help

Exit code:
  0  all clients are as the manifests want them
  1  a manifest has errors (then nothing is done), or a client failed
  2  bad usage

Example:
  scopegate clients apply --admin-url http://127.0.0.1:4445 --out credentials \\
    config/oauth2client.yaml
`;

/** `scopegate clients apply`: Hydra Maester's job, once. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const options = readOptions(args);
  const { clients, findings } = await readFiles(options.files);
  for (const finding of findings) io.err(`${formatFinding(finding)}\n`);
  // All or nothing: a typo in the last file must not leave the first ones applied.
  if (findings.some(({ level }) => level === 'error')) return 1;
  let status = 0;
  const progress = showProgress(io, 'clients');
  const told = {
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
    if (!(await applyOne(client, options, told))) status = 1;
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
      const message = `${name}: deleted the client ${id}, whose credentials are not in ${out}`;
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

/** Our own errors hold no secret; of any other, only the system's code and path are told. */
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
      verb === undefined ? 'clients: say what to do, apply' : `clients cannot "${verb}", only apply`,
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
    throw new UsageError('--admin-url must be an http or https URL');
  }
  if (url.username !== '' || url.password !== '')
    throw new UsageError('--admin-url must hold no credentials');
  if (out === undefined || out === '') throw new UsageError('--out is missing');
  if (positionals.length === 0) throw new UsageError('the files with the manifests are missing');
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

/** Two manifests for one client, or one folder of credentials, would undo each other at every run. */
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
      const message = `${key} is that of ${file}:${line} already`;
      findings.push({ ...client.position, level: 'error', code: 'duplicate-client', message });
    }
  }
  return findings;
}
