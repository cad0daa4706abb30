import type { Finding } from '../../document/finding.js';
import type { SourceDocument } from '../../document/yaml.js';
import { type JsonObject, membersOf, textOf } from '../../model/json.js';
import { type ApiRuleDocument, apiRules } from '../../rules/apirule/manifest.js';
import { nameOf, withName } from '../../rules/apirule/name.js';
import { GROUP, VERSION } from '../../rules/apirule/schema.js';
import type { ApiRule } from './trial.js';

/** Annotations that cluster tools write for their own use. */
const NOISE =
  /^(?:gateway\.kyma-project\.io|kubectl\.kubernetes\.io|meta\.helm\.sh|argocd\.argoproj\.io|fluxcd\.io|kustomize\.toolkit\.fluxcd\.io|helm\.toolkit\.fluxcd\.io|kapp\.k14s\.io|objectset\.rio\.cattle\.io)\//;

/** The usual order of the fields of a spec, of a rule and of a service. */
const ORDER = [
  ...['gateway', 'externalGateway', 'host', 'hosts', 'service', 'timeout', 'corsPolicy', 'rules'],
  ...['path', 'methods', 'noAuth', 'jwt', 'extAuth', 'accessStrategies', 'request', 'mutators', 'scopegate'],
  ...['name', 'namespace', 'port', 'handler', 'config'],
];

/**
 * Writes an APIRule of a cluster's export as a person would: with the spec that its annotation holds, in
 * version v1beta1 (also for v1alpha1) or v2, and without what the API server and other tools added.
 *
 * @param entry as `apiRules` finds it in the export
 * @param names the APIRules converted before, as `namespace/name`; this one is added
 * @returns no APIRule if its content is not known; the findings say why
 */
function cleanApiRule(
  { document, readable, findings }: ApiRuleDocument,
  names: Set<string>,
): { apiRule?: ApiRule; findings: Finding[] } {
  const name = nameOf(document);
  const named = findings.map((finding) => withName(finding, name));
  const fail = (code: string, message: string) => ({
    findings: [
      ...named,
      withName({ ...document.at(['metadata', 'name']), level: 'error', code, message }, name),
    ],
  });
  if (!readable) return { findings: named };
  if (name === undefined || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?\/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)) {
    return fail(
      'invalid-value',
      'metadata.name and metadata.namespace must be names of Kubernetes resources',
    );
  }
  if (names.has(name)) return fail('duplicate-apirule', 'is already in these files; remove one of them');
  names.add(name);
  const { apiVersion, metadata, spec } = document.value as JsonObject;
  const [version, written] = versionOf(apiVersion, membersOf(spec));
  const cleaned = {
    apiVersion: version,
    kind: 'APIRule',
    metadata: cleanMetadata(membersOf(metadata)),
    spec: ordered(written),
  };
  return { apiRule: cleaned as unknown as ApiRule, findings: named };
}

/**
 * Converts the APIRules among the documents of a cluster's export.
 *
 * @param documents single documents; the elements of a list are separate
 * @param names the APIRules converted before, as `namespace/name`; the new ones are added
 */
export function cleanExport(
  documents: readonly SourceDocument[],
  names: Set<string>,
): { apiRules: ApiRule[]; findings: Finding[] } {
  const found = apiRules(documents);
  const cleaned = found.rules.map((entry) => cleanApiRule(entry, names));
  return {
    apiRules: cleaned.flatMap(({ apiRule }) => (apiRule === undefined ? [] : [apiRule])),
    findings: [...found.findings, ...cleaned.flatMap(({ findings }) => findings)],
  };
}

/** The version to write, and the spec with the fields of that version. */
function versionOf(apiVersion: unknown, spec: JsonObject): [version: unknown, spec: JsonObject] {
  if (apiVersion === `${GROUP}/v2alpha1`) return [`${GROUP}/v2`, spec];
  if (apiVersion !== `${GROUP}/v1alpha1`) return [apiVersion, spec];
  const { host, ...service } = membersOf(spec.service);
  return [VERSION, { ...spec, host, service }];
}

function cleanMetadata({ name, namespace, labels, annotations }: JsonObject): JsonObject {
  const own = Object.entries(membersOf(annotations)).filter(([key]) => !NOISE.test(key));
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(Object.keys(membersOf(labels)).length === 0 ? {} : { labels }),
    ...(own.length === 0 ? {} : { annotations: Object.fromEntries(own) }),
  };
}

/** Removes nulls and puts the fields into the usual order. The `config` of a handler stays as it is. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  const place = (key: string): number => (ORDER.indexOf(key) + ORDER.length + 1) % (ORDER.length + 1);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null && item !== undefined)
      .sort(([a], [b]) => place(a) - place(b))
      .map(([key, item]) => [key, key === 'config' ? item : ordered(item)]),
  );
}

/** Whether a document is an APIRule, or a list that may hold some. */
export function isFromCluster({ value }: SourceDocument): boolean {
  const { kind, apiVersion } = membersOf(value);
  return (
    kind === 'List' ||
    kind === 'APIRuleList' ||
    kind === 'APIRule' ||
    textOf(apiVersion).startsWith(`${GROUP}/`)
  );
}

/** Whether an element of a list is a rule of Oathkeeper Maester. */
export function isMaesterRule({ value }: SourceDocument): boolean {
  const { kind, apiVersion } = membersOf(value);
  return kind === 'Rule' && textOf(apiVersion).startsWith('oathkeeper.ory.sh/');
}
