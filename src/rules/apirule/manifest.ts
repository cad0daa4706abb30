import type { Finding } from '../../document/finding.js';
import type { Path, SourceDocument } from '../../document/yaml.js';
import { isObject, type JsonObject, membersOf, textOf } from '../../model/json.js';
import { settleVersion } from './annotation.js';
import { GROUP } from './schema.js';

/** One APIRule of a file. */
export interface ApiRuleDocument {
  readonly document: SourceDocument;
  /** False if it is unclear which spec applies; `findings` then says why. */
  readonly readable: boolean;
  readonly findings: readonly Finding[];
}

/**
 * Kinds that people keep in the same folders as APIRules. They have no meaning here and are ignored without a
 * warning.
 */
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
 * Finds the APIRules among the documents of a file: plain APIRules, those in lists (`kind: List`, as kubectl
 * prints them), and those whose v1beta1 spec is in an annotation. It returns each one as a document that
 * `apirule.ts` reads; positions are still those in the file.
 */
export function apiRules(documents: readonly SourceDocument[]): {
  rules: ApiRuleDocument[];
  findings: Finding[];
} {
  const rules: ApiRuleDocument[] = [];
  const findings: Finding[] = [];
  for (const document of documents.flatMap((each) => items(each, findings))) {
    const fields = document.value;
    if (!isObject(fields)) {
      findings.push({
        ...document.at([]),
        level: 'error',
        code: 'wrong-type',
        message: 'a document must be an object',
      });
    } else if (isApiRule(fields)) {
      const { rule, findings: problems } = settleVersion(document, fields);
      rules.push({ document: rule ?? document, readable: rule !== undefined, findings: problems });
    } else if (!COMPANIONS.has(textOf(fields.kind))) {
      const what = typeof fields.kind === 'string' ? `the kind ${fields.kind}` : 'a document without a kind';
      findings.push({
        ...document.at('kind' in fields ? ['kind'] : []),
        level: 'warning',
        code: 'ignored-document',
        message: `${what} is ignored: scopegate reads only APIRules`,
      });
    }
  }
  return { rules, findings };
}

/**
 * The elements of a list, including those of nested lists. Any other document is its own only element.
 *
 * @param findings the list that findings about a list are added to
 */
export function items(document: SourceDocument, findings: Finding[]): SourceDocument[] {
  const { kind, items: elements } = membersOf(document.value);
  if (kind !== 'List' && kind !== 'APIRuleList') return [document];
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

/** Whether a document is meant to be an APIRule: by its kind, or, if the kind is mistyped, by its group. */
function isApiRule(fields: JsonObject): boolean {
  const { apiVersion, kind } = fields;
  if (kind === 'APIRule') return true;
  return textOf(apiVersion).startsWith(`${GROUP}/`) && !COMPANIONS.has(textOf(kind));
}
