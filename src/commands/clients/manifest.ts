import { type Finding, isError, type Position } from '../../document/finding.js';
import { validate } from '../../document/validate.js';
import { type Path, readDocuments, type SourceDocument } from '../../document/yaml.js';
import { textOf } from '../../model/json.js';
import type { Credentials } from './credentials.js';
import { type ClientDocument, fields } from './fields.js';
import { clientSchema, GROUP } from './schema.js';
import { isSecret, readSecret, type SecretManifest } from './secret.js';

/** One OAuth2Client manifest, ready to apply. */
export interface ClientManifest {
  readonly name: string;
  readonly namespace: string;
  /** The name of the credentials' folder, which is the name of the Kubernetes Secret. */
  readonly secretName: string;
  /** The Hydra that the manifest names, instead of the one on the command line. */
  readonly hydraAdmin?: { readonly url: string; readonly forwardedProto?: 'http' | 'https' };
  /** The client that Hydra must have: owner and all fields, without id and secret. */
  readonly wanted: ClientDocument & { readonly owner: string };
  /** Whether it has a secret. Public clients and clients with keys have none. */
  readonly hasSecret: boolean;
  /** Credentials from a Secret in the same files. If absent, Hydra generates them. */
  readonly given?: Credentials & { readonly id: string };
  readonly position: Position;
}

/** Hydra Maester's defaults for `hydraAdmin`. */
const ADMIN = { port: 4445, endpoint: '/clients' };

/**
 * Reads the OAuth2Clients (`hydra.ory.sh/v1alpha1`) of one file: YAML or JSON, with several documents or
 * lists as kubectl prints them.
 *
 * @param text the content of the file
 * @param file its name, for findings
 * @returns the clients may be applied only if no finding is an error
 */
export function readManifests(
  text: string,
  file: string,
): { clients: ClientManifest[]; secrets: SecretManifest[]; findings: Finding[] } {
  const { documents, findings } = readDocuments(text, file);
  const clients: ClientManifest[] = [];
  const secrets: SecretManifest[] = [];
  for (const document of documents.flatMap(items)) {
    const { apiVersion, kind } = (document.value ?? {}) as Record<string, unknown>;
    if (isSecret(document)) {
      const { secret, findings: problems } = readSecret(document);
      findings.push(...problems);
      if (secret !== undefined) secrets.push(secret);
      continue;
    }
    if (kind !== 'OAuth2Client' && typeof kind === 'string' && !textOf(apiVersion).startsWith(`${GROUP}/`)) {
      findings.push(
        finding(
          document,
          ['kind'],
          'warning',
          'ignored-document',
          `the document of kind ${kind} is ignored: only OAuth2Client is read, and the Secret that it names`,
        ),
      );
      continue;
    }
    const problems = validate(document, clientSchema);
    if (problems.length === 0) problems.push(...contradictions(document));
    findings.push(...problems, ...(problems.length === 0 ? doubts(document) : []));
    if (problems.length === 0) clients.push(toManifest(document));
  }
  if (clients.length === 0 && secrets.length === 0 && !findings.some(isError)) {
    findings.push({
      file,
      line: 1,
      col: 1,
      level: 'error',
      code: 'no-client',
      message: 'the file has no OAuth2Client',
    });
  }
  return { clients, secrets, findings };
}

/** Errors that the schema cannot express. */
function contradictions(document: SourceDocument): Finding[] {
  const { spec } = document.value as {
    spec: { hydraAdmin?: { url?: string; port?: number; endpoint?: string } };
  };
  const admin = spec.hydraAdmin;
  if (admin?.url) {
    const url = URL.canParse(admin.url) ? new URL(admin.url) : undefined;
    if (
      url === undefined ||
      url.username !== '' ||
      url.password !== '' ||
      url.search !== '' ||
      url.hash !== ''
    ) {
      const message =
        'spec.hydraAdmin.url must be an http or https URL without credentials, query and fragment';
      return [finding(document, ['spec', 'hydraAdmin', 'url'], 'error', 'invalid-value', message)];
    }
  } else if (admin?.port || admin?.endpoint) {
    const message = 'spec.hydraAdmin has port or endpoint but no url: add url';
    return [finding(document, ['spec', 'hydraAdmin'], 'error', 'missing-field', message)];
  }
  return [];
}

/** Warnings about what Hydra accepts but does not do. */
function doubts(document: SourceDocument): Finding[] {
  const { spec } = document.value as { spec: { clientSecretExpiresAt?: number } };
  if (!spec.clientSecretExpiresAt) return [];
  const message = 'spec.clientSecretExpiresAt has no effect: Hydra stores 0, so the secret does not expire';
  return [finding(document, ['spec', 'clientSecretExpiresAt'], 'warning', 'ignored-field', message)];
}

interface Spec extends Readonly<Record<string, unknown>> {
  readonly secretName: string;
  readonly scope?: string;
  readonly scopeArray?: readonly string[];
  readonly tokenEndpointAuthMethod?: string;
  readonly hydraAdmin?: {
    readonly url?: string;
    readonly port?: number;
    readonly endpoint?: string;
    readonly forwardedProto?: string;
  };
}

/** @param document fits {@link clientSchema} */
function toManifest(document: SourceDocument): ClientManifest {
  const { metadata, spec } = document.value as { metadata: { name: string; namespace?: string }; spec: Spec };
  const { name, namespace = 'default' } = metadata;
  const wanted: Record<string, unknown> = {};
  for (const { spec: path, hydra } of fields) {
    const [first, second] = path;
    const section = spec[first];
    const value = second === undefined ? section : (section as Record<string, unknown> | undefined)?.[second];
    if (value !== undefined && value !== null && value !== '') wanted[hydra] = value;
  }
  // Maester joins both. Older manifests have `scope`.
  const scope = [...(spec.scopeArray ?? []), ...(spec.scope ?? '').split(/\s+/)]
    .filter((word) => word !== '')
    .join(' ');
  if (scope !== '') wanted.scope = scope;
  const hydraAdmin = adminOf(spec);
  return {
    name,
    namespace,
    secretName: spec.secretName,
    ...(hydraAdmin === undefined ? {} : { hydraAdmin }),
    wanted: { ...wanted, owner: `${name}/${namespace}` },
    hasSecret: !['private_key_jwt', 'none'].includes(spec.tokenEndpointAuthMethod ?? ''),
    position: document.at([]),
  };
}

function adminOf({ hydraAdmin: admin }: Spec): ClientManifest['hydraAdmin'] {
  if (!admin?.url) return undefined;
  const url = new URL(admin.url);
  url.port = String(admin.port || url.port || ADMIN.port);
  url.pathname = admin.endpoint || (url.pathname === '/' ? ADMIN.endpoint : url.pathname);
  const proto = admin.forwardedProto;
  return { url: url.href, ...(proto === 'http' || proto === 'https' ? { forwardedProto: proto } : {}) };
}

/** The elements of a list, also of lists inside it. Any other document is returned as it is. */
function items(document: SourceDocument): SourceDocument[] {
  const { kind, items: elements } = (document.value ?? {}) as { kind?: unknown; items?: unknown };
  if ((kind !== 'List' && kind !== 'OAuth2ClientList') || !Array.isArray(elements)) return [document];
  return elements.flatMap((value: unknown, index) => {
    const base: Path = ['items', index];
    return items({
      file: document.file,
      value,
      at: (path) => document.at([...base, ...path]),
      keyAt: (path) => document.keyAt([...base, ...path]),
    });
  });
}

function finding(
  document: SourceDocument,
  path: Path,
  level: Finding['level'],
  code: string,
  message: string,
): Finding {
  return { ...document.at(path), level, code, message };
}
