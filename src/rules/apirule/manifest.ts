import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import { settleVersion } from './annotation.js';
import { GROUP } from './schema.js';

/** One APIRule of a file. */
export interface ApiRuleDocument {
  readonly document: SourceDocument;
  /** False if which spec counts cannot be said; `findings` says why. */
  readonly readable: boolean;
  readonly findings: readonly Finding[];
}

/** Kinds that stand beside APIRules in people's folders; they mean nothing here and are passed over in silence. */
const COMPANIONS: ReadonlySet<string> = new Set([
  'APIGateway',
  'AuthorizationPolicy',
  'Certificate',
  'ClusterRole',
  'ClusterRoleBinding',
  'ConfigMap',
  'CronJob',
  'DNSEntry',
  'DNSProvider',
  'DaemonSet',
  'Deployment',
  'DestinationRule',
  'Function',
  'Gateway',
  'HorizontalPodAutoscaler',
  'Ingress',
  'Issuer',
  'Job',
  'Kustomization',
  'Namespace',
  'NetworkPolicy',
  'OAuth2Client',
  'PeerAuthentication',
  'PersistentVolumeClaim',
  'Pod',
  'PodDisruptionBudget',
  'RateLimit',
  'RequestAuthentication',
  'Role',
  'RoleBinding',
  'Secret',
  'Service',
  'ServiceAccount',
  'ServiceBinding',
  'ServiceEntry',
  'ServiceInstance',
  'Sidecar',
  'StatefulSet',
  'Subscription',
  'VirtualService',
]);

/**
 * Picks the APIRules out of a file's documents: those themselves, those in lists (`kind: List`, as kubectl prints
 * them), and those whose v1beta1 spec stands in an annotation. Each comes back as a document that `apirule.ts` reads,
 * with positions that are still those in the file.
 */
export function apiRules(documents: readonly SourceDocument[]): {
  rules: ApiRuleDocument[];
  findings: Finding[];
} {
  const rules: ApiRuleDocument[] = [];
  const findings: Finding[] = [];
  for (const document of documents.flatMap((each) => items(each, findings))) {
    const fields = mapping(document.value);
    if (fields === undefined) {
      findings.push({
        ...document.at([]),
        level: 'error',
        code: 'wrong-type',
        message: 'a document must be an object',
      });
    } else if (isApiRule(fields)) {
      const { rule, findings: problems } = settleVersion(document, fields);
      rules.push({ document: rule ?? document, readable: rule !== undefined, findings: problems });
    } else if (!COMPANIONS.has(String(fields.kind))) {
      const what = typeof fields.kind === 'string' ? `the kind ${fields.kind}` : 'a document without a kind';
      findings.push({
        ...document.at('kind' in fields ? ['kind'] : []),
        level: 'warning',
        code: 'ignored-document',
        message: `${what} means nothing here and is ignored`,
      });
    }
  }
  return { rules, findings };
}

/**
 * The elements of a list, of lists in it as well; any other document is its own only element.
 *
 * @param findings gets what is wrong with a list
 */
export function items(document: SourceDocument, findings: Finding[]): SourceDocument[] {
  const fields = mapping(document.value);
  const kind = fields?.kind;
  if (fields === undefined || (kind !== 'List' && kind !== 'APIRuleList')) return [document];
  const elements = fields.items;
  if (!Array.isArray(elements)) {
    const message = `a ${kind} must have the field "items", an array`;
    findings.push({ ...document.at(['items']), level: 'error', code: 'missing-field', message });
    return [];
  }
  return elements.flatMap((value: unknown, index) =>
    items(part(document, ['items', index], value), findings),
  );
}

function part(document: SourceDocument, base: Path, value: unknown): SourceDocument {
  return {
    file: document.file,
    value,
    at: (path) => document.at([...base, ...path]),
    keyAt: (path) => document.keyAt([...base, ...path]),
  };
}

/** By its kind, or by its group where the kind itself is what is mistyped. */
function isApiRule(fields: Readonly<Record<string, unknown>>): boolean {
  const { apiVersion, kind } = fields;
  if (kind === 'APIRule') return true;
  return String(apiVersion).startsWith(`${GROUP}/`) && !COMPANIONS.has(String(kind));
}

function mapping(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}
