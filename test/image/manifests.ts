import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuthorizationPolicy } from '@kubernetes-models/istio/security.istio.io/v1/AuthorizationPolicy';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { Service } from 'kubernetes-models/v1/Service';
import { parse, parseAllDocuments } from 'yaml';

/** A Kubernetes object, as far as these tests look into it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; namespace?: string; readonly labels?: Record<string, string> };
  readonly spec?: unknown;
  readonly data?: Record<string, string>;
}

/** What `kubectl apply -k` would send for a folder: `kubectl kustomize` says it. @throws where it refuses the folder */
export function build(folder: string): Manifest[] {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', folder], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`kubectl kustomize ${folder}: ${stderr}`);
  return documents(stdout);
}

/** The files that a folder's kustomization.yaml names, and those of the folders it builds on. */
export function namedFiles(folder: string): string[] {
  const own = join(folder, 'kustomization.yaml');
  const { resources = [], configMapGenerator = [] } = parse(readFileSync(own, 'utf8')) as {
    resources?: string[];
    configMapGenerator?: { files: string[] }[];
  };
  const named = [...resources, ...configMapGenerator.flatMap(({ files }) => files)];
  return [own, ...named.map((name) => join(folder, name))].flatMap((path) =>
    existsSync(join(path, 'kustomization.yaml')) ? namedFiles(path) : [path],
  );
}

/** The documents of one file. @throws for broken YAML */
export function read(path: string): Manifest[] {
  return documents(readFileSync(path, 'utf8'));
}

/** The documents of a text. @throws for broken YAML */
export function documents(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if ('errors' in document && document.errors.length > 0) throw document.errors[0];
    return document.toJS() as Manifest;
  });
}

/** A container, as far as these tests look into it. */
export interface Container {
  readonly name: string;
  readonly image: string;
  readonly restartPolicy?: string;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPath?: string;
    readonly readOnly?: boolean;
  }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } };
  readonly resources?: {
    readonly requests?: Record<string, string>;
    readonly limits?: Record<string, string>;
  };
  readonly securityContext?: {
    readonly allowPrivilegeEscalation?: boolean;
    readonly readOnlyRootFilesystem?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[] };
  };
}

interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: string };
}

/** A Deployment's pod. */
export interface Pod {
  readonly automountServiceAccountToken?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: {
    readonly runAsNonRoot?: boolean;
    readonly runAsUser?: number;
    readonly seccompProfile?: { readonly type: string };
  };
  readonly initContainers?: Container[];
  readonly containers: Container[];
  readonly volumes?: readonly { readonly name: string; readonly configMap?: { readonly name: string } }[];
}

/** The pod that a Deployment makes, with the labels it gives it; undefined for other kinds. */
export function podOf({ kind, spec }: Manifest): { labels: Record<string, string>; pod: Pod } | undefined {
  if (kind !== 'Deployment') return undefined;
  const { template } = spec as { template: { metadata: { labels: Record<string, string> }; spec: Pod } };
  return { labels: template.metadata.labels, pod: template.spec };
}

/** All containers of what a manifest makes. */
export function containersOf(manifest: Manifest): Container[] {
  const pod = podOf(manifest)?.pod;
  return pod === undefined ? [] : [...(pod.initContainers ?? []), ...pod.containers];
}

/** Kubernetes' and Istio's own schemas, by kind; kinds of Kyma are held against the documentation below. */
const MODELS: Readonly<Record<string, new (data: never) => { validate(): void }>> = {
  AuthorizationPolicy,
  ConfigMap,
  Deployment,
  Namespace,
  NetworkPolicy,
  PodDisruptionBudget,
  Service,
};

/** @throws Error unless a manifest is valid by the schema of its kind */
export function validate(manifest: Manifest): void {
  const Model = MODELS[manifest.kind];
  if (Model === undefined) throw new Error(`no schema of ${manifest.kind}`);
  const model = new Model(manifest as never);
  // The model knows its own version and kind; the manifest's must be these.
  Object.assign(model, { apiVersion: manifest.apiVersion, kind: manifest.kind });
  model.validate();
}
