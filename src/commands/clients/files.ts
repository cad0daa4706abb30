import { byPosition, type Finding, isError } from '../../document/finding.js';
import { fileProblem } from '../../model/file-error.js';
import { readArgumentFile } from '../../model/text-file.js';
import { type ClientManifest, readManifests } from './manifest.js';
import type { SecretManifest } from './secret.js';

/** The OAuth2Clients of all files. They may be applied only if no finding is an error. */
export interface ReadFiles {
  readonly clients: readonly ClientManifest[];
  /** In order of position. */
  readonly findings: readonly Finding[];
}

/**
 * Reads the OAuth2Clients of several files. A Secret in any of them gives its credentials to the client that
 * names it.
 */
export async function readFiles(files: readonly string[]): Promise<ReadFiles> {
  const clients: ClientManifest[] = [];
  const secrets: SecretManifest[] = [];
  const findings: Finding[] = [];
  for (const file of files) {
    try {
      const read = readManifests(readArgumentFile(file), file);
      clients.push(...read.clients);
      secrets.push(...read.secrets);
      findings.push(...read.findings);
    } catch (error) {
      findings.push(errorAt(file, 'unreadable-file', `the file ${fileProblem(error)}`));
    }
  }
  if (clients.length === 0 && !findings.some(isError)) {
    findings.push(errorAt(files[0] ?? '', 'no-client', 'the files have no OAuth2Client'));
  }
  findings.push(...collisions(clients));
  const given = withSecrets(clients, secrets);
  return { clients: given.clients, findings: [...findings, ...given.findings].sort(byPosition) };
}

/**
 * Describes an error of the system without its message, which may quote anything.
 *
 * @returns its code, call and path
 */
export function codeOf(error: unknown): string {
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined) return 'unexpected failure';
  return [code, syscall, path].filter((part) => part !== undefined).join(' ');
}

function errorAt(file: string, code: string, message: string): Finding {
  return { file, line: 1, col: 1, level: 'error', code, message };
}

function withSecrets(clients: readonly ClientManifest[], secrets: readonly SecretManifest[]): ReadFiles {
  const findings: Finding[] = [];
  const byKey = new Map<string, SecretManifest>();
  for (const secret of secrets) {
    const first = byKey.get(secret.key);
    if (first === undefined) byKey.set(secret.key, secret);
    else {
      const { file, line } = first.document.at([]);
      const message = `the Secret ${secret.key} is already in ${file}:${line}`;
      findings.push({ ...secret.document.at([]), level: 'error', code: 'duplicate-secret', message });
    }
  }
  const used = new Set<SecretManifest>();
  const given = clients.map((client) => {
    const secret = byKey.get(`${client.namespace}/${client.secretName}`);
    if (secret === undefined) return client;
    used.add(secret);
    const { id, secret: value } = secret.credentials;
    if (id === undefined || (client.hasSecret && value === undefined)) {
      const message = `the Secret ${secret.key} has no ${id === undefined ? 'CLIENT_ID' : 'CLIENT_SECRET'}`;
      findings.push({ ...secret.document.at([]), level: 'error', code: 'missing-field', message });
      return client;
    }
    const credentials = client.hasSecret && value !== undefined ? { id, secret: value } : { id };
    return { ...client, given: credentials };
  });
  for (const secret of byKey.values()) {
    if (used.has(secret)) continue;
    const message = `the Secret ${secret.key} is ignored: no OAuth2Client of its namespace has it as secretName`;
    findings.push({ ...secret.document.at(['kind']), level: 'warning', code: 'ignored-document', message });
  }
  return { clients: given, findings };
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
