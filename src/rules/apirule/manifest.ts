import type { Finding } from '../../document/finding.js';
import { type Path, readDocuments, type SourceDocument } from '../../document/yaml.js';
import { GROUP, VERSION } from './schema.js';

/** Where Kyma keeps the spec of an APIRule of v1beta1 that it shows in a later version. */
const SPEC_ANNOTATION = `${GROUP}/v1beta1-spec`;
const VERSION_ANNOTATION = `${GROUP}/original-version`;

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
 * them), and those whose v1beta1 spec stands in an annotation. Each comes back as a document of the one form that
 * `apirule.ts` reads, with positions that are still those in the file.
 */
export function apiRules(documents: readonly SourceDocument[]): {
  rules: SourceDocument[];
  findings: Finding[];
} {
  const rules: SourceDocument[] = [];
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
      const settled = settleVersion(document, fields);
      findings.push(...settled.findings);
      if (settled.rule !== undefined) rules.push(settled.rule);
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

/** The elements of a list, of lists in it as well; any other document is its own only element. */
function items(document: SourceDocument, findings: Finding[]): SourceDocument[] {
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

function settleVersion(
  document: SourceDocument,
  fields: Readonly<Record<string, unknown>>,
): { rule?: SourceDocument; findings: Finding[] } {
  const { apiVersion } = fields;
  const annotations = mapping(mapping(fields.metadata)?.annotations) ?? {};
  const annotation = annotations[SPEC_ANNOTATION];
  // An APIRule that was migrated keeps the annotation of its former life.
  const original = annotations[VERSION_ANNOTATION] ?? 'v1beta1';
  const annotated = typeof annotation === 'string' && original === 'v1beta1';

  if (apiVersion === VERSION) {
    const empty = fields.spec === undefined || Object.keys(mapping(fields.spec) ?? { spec: 1 }).length === 0;
    return empty && annotated
      ? fromAnnotation(document, fields, annotation)
      : { rule: document, findings: [] };
  }
  if (apiVersion === `${GROUP}/v2` || apiVersion === `${GROUP}/v2alpha1`) {
    return annotated ? fromAnnotation(document, fields, annotation) : { rule: document, findings: [] };
  }
  if (apiVersion === `${GROUP}/v1alpha1`) {
    const message = `${apiVersion} is not read; write it as ${VERSION} (service.host becomes host)`;
    return {
      findings: [{ ...document.at(['apiVersion']), level: 'error', code: 'unsupported-version', message }],
    };
  }
  return { rule: document, findings: [] };
}

/** What the annotation holds, in the place of the spec; its positions are that of the annotation. */
function fromAnnotation(
  document: SourceDocument,
  fields: Readonly<Record<string, unknown>>,
  annotation: string,
): { rule?: SourceDocument; findings: Finding[] } {
  const place = document.at(['metadata', 'annotations', SPEC_ANNOTATION]);
  const inner = readDocuments(annotation, SPEC_ANNOTATION);
  const findings = inner.findings.map(({ level, code, message, line, col }): Finding => {
    return {
      ...place,
      level,
      code,
      message: `${message} (at ${line}:${col} in the annotation ${SPEC_ANNOTATION})`,
    };
  });
  if (findings.length > 0) return { findings };
  const spec = inner.documents.length === 1 ? mapping(inner.documents[0]?.value) : undefined;
  if (spec === undefined) {
    const message = `the annotation ${SPEC_ANNOTATION} must hold one JSON object`;
    return { findings: [{ ...place, level: 'error', code: 'wrong-type', message }] };
  }
  const inSpec = (path: Path): boolean => path[0] === 'spec';
  const rule: SourceDocument = {
    file: document.file,
    value: { ...fields, apiVersion: VERSION, spec },
    at: (path) => (inSpec(path) ? place : document.at(path)),
    keyAt: (path) => (inSpec(path) ? place : document.keyAt(path)),
  };
  return { rule, findings };
}

function mapping(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}
