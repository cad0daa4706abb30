import { stringify } from 'yaml';
import { build, type Container, type Manifest, podOf } from '../manifests.js';
import { withoutDigests } from './stand-ins.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * The manifests of a folder as `podman kube play` takes them. What is changed is what podman does not know:
 *
 * - An init container that goes on beside the others (a native sidecar) becomes an ordinary one, and starts first.
 * - Its probes go: podman asks them with a shell and curl inside the container, and the image has neither.
 * - A file of a ConfigMap (`subPath`) becomes a folder that holds this file alone, and in which the engine may make another
 *   folder to mount on.
 * - Images get no pull: they are there.
 * - Services and NetworkPolicies go: there is nobody to serve them.
 */
export function forPodman(folder: string): string {
  const manifests = build(folder);
  const kept = manifests.filter(({ kind }) => ['ConfigMap', 'Deployment'].includes(kind));
  for (const manifest of kept) {
    const pod = podOf(manifest)?.pod as Mutable<NonNullable<ReturnType<typeof podOf>>['pod']> | undefined;
    if (pod === undefined) continue;
    (manifest.spec as { replicas: number }).replicas = 1;
    pod.containers = [...(pod.initContainers ?? []), ...pod.containers].map(edited);
    delete pod.initContainers;
  }
  // A copy, because YAML would write what two containers share as an alias, which podman need not know.
  return withoutDigests(
    kept.map((manifest: Manifest) => stringify(JSON.parse(JSON.stringify(manifest)))).join('---\n'),
  );
}

function edited(container: Container): Container {
  const {
    restartPolicy: _r,
    startupProbe: _s,
    readinessProbe: _p,
    livenessProbe: _l,
    lifecycle: _c,
    ...rest
  } = container;
  return {
    ...rest,
    ...{ imagePullPolicy: 'Never' },
    ...(rest.volumeMounts === undefined
      ? {}
      : {
          volumeMounts: rest.volumeMounts.map(({ subPath, mountPath, readOnly, ...mount }) =>
            subPath === undefined
              ? { ...mount, mountPath, ...(readOnly === undefined ? {} : { readOnly }) }
              : { ...mount, mountPath: mountPath.replace(`/${subPath}`, '') },
          ),
        }),
  };
}
