import type { Finding } from '../../document/finding.js';
import type { SourceDocument } from '../../document/yaml.js';
import { decodeText, NotText } from '../../model/text-file.js';
import { type Credentials, NAMES } from './credentials.js';

/** A Kubernetes Secret in a file with OAuth2Clients. */
export interface SecretManifest {
  /** Namespace and name, as `namespace/name`. */
  readonly key: string;
  /** Client id and client secret, as far as the Secret has them. */
  readonly credentials: Credentials;
  readonly document: SourceDocument;
}

/** Whether a document is a Kubernetes Secret. */
export function isSecret({ value }: SourceDocument): boolean {
  const { apiVersion, kind } = (value ?? {}) as Record<string, unknown>;
  return kind === 'Secret' && apiVersion === 'v1';
}

/**
 * Reads the client credentials in a Kubernetes Secret: `CLIENT_ID` and `CLIENT_SECRET`, or in lower case, in `data`
 * (base64) or `stringData`. No finding holds a value.
 *
 * @param document one for which {@link isSecret} is true
 */
export function readSecret(document: SourceDocument): { secret?: SecretManifest; findings: Finding[] } {
  const { metadata } = document.value as { metadata?: { name?: unknown; namespace?: unknown } };
  const findings: Finding[] = [];
  const problem = (path: readonly string[], code: string, message: string): void => {
    findings.push({ ...document.at(path), level: 'error', code, message });
  };
  if (typeof metadata?.name !== 'string') {
    const message = 'the document of kind Secret is ignored: it has no metadata.name';
    return { findings: [{ ...document.at(['kind']), level: 'warning', code: 'ignored-document', message }] };
  }
  const read = (names: readonly string[]): string | undefined => {
    const values = new Set<string>();
    for (const name of names) {
      const value = entryOf(document, name, problem);
      if (value !== undefined) values.add(value);
    }
    if (values.size > 1) problem([], 'invalid-value', `${names.join(' and ')} in the Secret differ`);
    return [...values][0];
  };
  const [id, secret] = [read(NAMES.id), read(NAMES.secret)];
  const namespace = typeof metadata.namespace === 'string' ? metadata.namespace : 'default';
  return {
    secret: {
      key: `${namespace}/${metadata.name}`,
      credentials: { ...(id === undefined ? {} : { id }), ...(secret === undefined ? {} : { secret }) },
      document,
    },
    findings,
  };
}

/** As in Kubernetes, `stringData` takes precedence. */
function entryOf(
  { value: given }: SourceDocument,
  name: string,
  problem: (path: readonly string[], code: string, message: string) => void,
): string | undefined {
  for (const section of ['stringData', 'data'] as const) {
    const entry = (given as Record<string, Record<string, unknown> | null | undefined>)[section]?.[name];
    if (entry === undefined || entry === null) continue;
    const path = [section, name];
    if (typeof entry !== 'string') {
      problem(path, 'invalid-value', `${path.join('.')} must be text`);
      return undefined;
    }
    const text = section === 'data' ? decoded(entry) : entry;
    if (text === undefined) {
      problem(path, 'invalid-value', `${path.join('.')} must be base64 of UTF-8 text`);
      return undefined;
    }
    if (/[\u0000-\u001f\u007f]/.test(text)) {
      const advice = section === 'data' ? ': encode it without a line break, as printf %s does' : '';
      problem(path, 'invalid-value', `${path.join('.')} holds a control character or a line break${advice}`);
      return undefined;
    }
    if (text !== '') return text;
  }
  return undefined;
}

function decoded(base64: string): string | undefined {
  const compact = base64.replace(/\s/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact) || compact.length % 4 !== 0) return undefined;
  try {
    return decodeText(Buffer.from(compact, 'base64'));
  } catch (error) {
    if (error instanceof NotText) return undefined;
    throw error;
  }
}
