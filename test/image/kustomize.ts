import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';

/** A Kubernetes object, as far as these tests look into it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; namespace?: string; readonly labels?: Record<string, string> };
  readonly spec?: unknown;
  readonly data?: Record<string, string>;
  /** Where it is written. */
  readonly file: string;
}

interface Kustomization {
  readonly namespace?: string;
  readonly resources?: readonly string[];
  readonly images?: readonly { readonly name: string; readonly newName: string; readonly newTag: string }[];
  readonly configMapGenerator?: readonly { readonly name: string; readonly files: readonly string[] }[];
}

/** What a folder comes to, and which of its files took part. */
export interface Built {
  readonly manifests: Manifest[];
  readonly files: ReadonlySet<string>;
}

/**
 * Does for a folder what `kubectl kustomize` does with the four fields that the shipped ones use.
 *
 * @throws for a file that is not there, broken YAML, and a field it does not know
 */
export function build(folder: string): Built {
  const own = join(folder, 'kustomization.yaml');
  const files = new Set([own]);
  const { apiVersion, kind, namespace, resources, images, configMapGenerator, ...rest } = parse(
    readFileSync(own, 'utf8'),
  ) as Kustomization & { apiVersion: string; kind: string };
  if (Object.keys(rest).length > 0) throw new Error(`${own}: unknown ${Object.keys(rest)}`);
  if (apiVersion !== 'kustomize.config.k8s.io/v1beta1' || kind !== 'Kustomization') throw new Error(own);
  const manifests: Manifest[] = [];
  for (const name of resources ?? []) {
    const path = join(folder, name);
    if (!existsSync(path)) throw new Error(`${own}: ${name} is not there`);
    if (existsSync(join(path, 'kustomization.yaml'))) {
      // kustomize refuses a base that holds the folder which builds on it.
      if (!relative(path, folder).startsWith('..')) throw new Error(`${own}: a circle through ${name}`);
      const base = build(path);
      manifests.push(...base.manifests);
      for (const file of base.files) files.add(file);
      continue;
    }
    files.add(path);
    manifests.push(...read(path));
  }
  for (const { name, files: sources } of configMapGenerator ?? []) {
    const data: Record<string, string> = {};
    for (const source of sources) {
      const path = join(folder, source);
      // kustomize reads nothing outside of the folder.
      if (relative(folder, path).startsWith('..')) throw new Error(`${own}: ${source} is outside`);
      files.add(path);
      data[basename(source)] = readFileSync(path, 'utf8');
    }
    manifests.push({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data, file: own });
  }
  for (const manifest of manifests) {
    if (namespace !== undefined && manifest.kind !== 'Namespace') manifest.metadata.namespace ??= namespace;
    for (const { name, newName, newTag } of images ?? [])
      for (const container of containersOf(manifest))
        if (container.image === name) container.image = `${newName}:${newTag}`;
  }
  return { manifests, files };
}

/** The documents of one file. @throws for broken YAML */
export function read(path: string): Manifest[] {
  return parseAllDocuments(readFileSync(path, 'utf8'), { merge: true }).map((document) => {
    if ('errors' in document && document.errors.length > 0) throw document.errors[0];
    return Object.assign(document.toJS() as Manifest, { file: path });
  });
}

/** A container, as far as these tests look into it. */
export interface Container {
  readonly name: string;
  image: string;
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

/** Every file of a folder and its subfolders. */
export function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesOf(path) : [path];
  });
}
