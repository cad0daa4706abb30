import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { main } from '../../src/cli.js';
import { load } from '../../src/commands/load.js';
import { Recorder } from '../commands/io.js';
import { pages } from '../docs/page.js';
import { available } from '../require.js';
import { root } from '../root.js';
import { filesOf } from './files.js';
import { build, containersOf, type Manifest, namedFiles, podOf, read, validate } from './manifests.js';

const folder = join(root, 'config/kubernetes');
const USES = ['hydra', 'sidecar', 'forward-auth/base', 'forward-auth/istio', 'forward-auth/kyma'] as const;
type Built = Readonly<Record<(typeof USES)[number], readonly Manifest[]>>;
let made: Built | undefined;

/** What each use comes to, or undefined where there is no kubectl and the test is skipped. */
function builtFor(t: Test): Built | undefined {
  if (!available(t, 'kubectl')) return undefined;
  made ??= Object.fromEntries(USES.map((use) => [use, build(join(folder, use))])) as unknown as Built;
  return made;
}

/** What a ConfigMap or a Service is asked for by. */
const find = (manifests: readonly Manifest[], kind: string, name: string): Manifest | undefined =>
  manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);

t.test('every manifest is valid against the schema of its kind', async (t) => {
  const built = builtFor(t);
  if (built === undefined) return;
  for (const [use, manifests] of Object.entries(built)) {
    for (const manifest of manifests) {
      if (manifest.kind === 'APIRule') continue;
      t.doesNotThrow(() => validate(manifest), `${use}: ${manifest.kind} ${manifest.metadata.name}`);
    }
  }
  const broken = structuredClone(built.sidecar.find(({ kind }) => kind === 'Deployment') as Manifest);
  Object.assign(containersOf(broken)[0] as object, { ports: [{ containerPort: 'gate' }] });
  t.throws(() => validate(broken), 'the schema refuses a port that is no number');
});

t.test('no file is left out of what is applied', (t) => {
  const used = new Set(USES.flatMap((use) => namedFiles(join(folder, use))));
  const unused = filesOf(folder).filter((path) => !used.has(path));
  t.same(
    unused.map((path) => relative(folder, path)).sort(),
    ['forward-auth/istio/values.yaml', 'forward-auth/kyma/istio.yaml'],
    'but for the two that belong to the mesh',
  );
  t.end();
});

t.test('names, labels, ports and volumes lead somewhere', async (t) => {
  const built = builtFor(t);
  if (built === undefined) return;
  for (const [use, current] of Object.entries(built)) {
    const pods = current.map(podOf).filter((made) => made !== undefined);
    const selected = (labels: Record<string, string>) =>
      pods.filter((made) => Object.entries(labels).every(([key, value]) => made.labels[key] === value));
    for (const manifest of current) {
      const where = `${use}: ${manifest.kind} ${manifest.metadata.name}`;
      const spec = (manifest.spec ?? {}) as {
        selector?: Record<string, string> & { matchLabels?: Record<string, string> };
        podSelector?: { matchLabels: Record<string, string> };
        ports?: { targetPort: string }[];
        ingress?: { ports: { port: string }[] }[];
      };
      if (manifest.kind === 'AuthorizationPolicy' || manifest.kind === 'APIRule') continue;
      const labels = spec.podSelector?.matchLabels ?? spec.selector?.matchLabels ?? spec.selector;
      const targets = labels === undefined ? [] : selected(labels);
      if (labels !== undefined) t.equal(targets.length, 1, `${where} selects a pod`);
      const ports = targets.flatMap(({ pod }) => [...(pod.initContainers ?? []), ...pod.containers]);
      const names = ports.flatMap((container) => container.ports ?? []).map(({ name }) => name);
      const wanted = [
        ...(manifest.kind === 'Service' ? (spec.ports ?? []).map(({ targetPort }) => targetPort) : []),
        ...(spec.ingress ?? []).flatMap((rule) => rule.ports.map(({ port }) => port)),
      ];
      for (const port of wanted) t.ok(names.includes(port), `${where}: port ${port}`);
      const pod = podOf(manifest)?.pod;
      for (const container of containersOf(manifest)) {
        for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) {
          const port = container[probe]?.httpGet?.port;
          if (port !== undefined)
            t.ok(
              container.ports?.some(({ name }) => name === port),
              `${where}: ${probe}`,
            );
        }
        for (const { name, subPath } of container.volumeMounts ?? []) {
          const volume = pod?.volumes?.find((each) => each.name === name);
          t.ok(volume, `${where}: volume ${name}`);
          const source = volume?.configMap?.name;
          if (source === undefined) continue;
          const map = find(current, 'ConfigMap', source);
          t.equal(map?.metadata.namespace, manifest.metadata.namespace, `${where}: ConfigMap ${source}`);
          if (subPath !== undefined) t.ok(map?.data?.[subPath], `${where}: ${subPath}`);
        }
      }
    }
  }
});

t.test(
  'scopegate checks the settings and rules inside, and every probe and port is what they say',
  async (t) => {
    const built = builtFor(t);
    if (built === undefined) return;
    for (const use of ['sidecar', 'forward-auth/base'] as const) {
      const file = join(folder, use, 'scopegate.yaml');
      const io = new Recorder();
      t.equal(await main(['check', '--strict', '--config', file], io), 0, `${use}: ${io.stdout}`);
      const { settings } = load(file, {});
      const deployment = built[use].find(({ kind }) => kind === 'Deployment') as Manifest;
      const gate = containersOf(deployment).find(({ name }) => name === 'scopegate');
      const manifests = built[use];
      const ports = new Map(gate?.ports?.map(({ name, containerPort }) => [name, containerPort]));
      t.equal(ports.get('admin'), settings?.listen.admin.port, use);
      if (ports.has('gate')) t.equal(ports.get('gate'), settings?.listen.proxy.port, use);
      t.match(gate, {
        startupProbe: { httpGet: { path: '/health/ready', port: 'admin' } },
        readinessProbe: { httpGet: { path: '/health/ready', port: 'admin' } },
        livenessProbe: { httpGet: { path: '/health/alive', port: 'admin' } },
      });
      const mounts = gate?.volumeMounts?.map(({ mountPath, readOnly }) => [mountPath, readOnly]);
      t.same(mounts, [
        ['/etc/scopegate/scopegate.yaml', true],
        ['/etc/scopegate/rules', true],
      ]);
      t.match(
        readFileSync(join(root, 'Dockerfile'), 'utf8'),
        mounts?.[0]?.[0] as string,
        'where the image looks',
      );
      const { pod } = podOf(deployment) as { pod: NonNullable<ReturnType<typeof podOf>>['pod'] };
      const preStop = Math.max(
        ...containersOf(deployment).map((each) => each.lifecycle?.preStop?.sleep?.seconds ?? 0),
      );
      t.ok(preStop >= 5, `${use}: it answers while the cluster still sends`);
      const needed = preStop + (settings?.server.drainTimeout ?? 0) / 1000;
      t.ok((pod.terminationGracePeriodSeconds ?? 0) >= needed + 5, `${use}: ${needed} s fit in`);
      const rules = find(built[use], 'ConfigMap', 'scopegate-rules')?.data;
      t.same(Object.keys(rules ?? {}), ['httpbin.apirule.yaml']);
      // But for the first line, in which each names the schema.
      const rest = (text: string | undefined) => text?.slice(text.indexOf('\n'));
      t.equal(
        rest(rules?.['httpbin.apirule.yaml']),
        rest(readFileSync(join(root, 'config/rules/httpbin.apirule.yaml'), 'utf8')),
        'the rules are the tutorial’s',
      );
      t.ok(manifests.length > 4);
    }
  },
);

t.test('nothing runs with more rights than it needs', async (t) => {
  const built = builtFor(t);
  if (built === undefined) return;
  for (const [use, manifests] of Object.entries(built)) {
    for (const manifest of manifests) {
      const pod = podOf(manifest)?.pod;
      if (pod === undefined) continue;
      t.match(pod, {
        automountServiceAccountToken: false,
        securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
      });
      for (const { name, image, securityContext, resources } of containersOf(manifest)) {
        t.same(
          securityContext,
          {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          `${use}: ${name}`,
        );
        t.ok(
          resources?.requests?.cpu && resources.requests.memory && resources.limits?.memory,
          `${use}: ${name}`,
        );
        t.match(image, /:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$/, 'an image of one version');
      }
    }
  }
});

t.test('the workload of the sidecar can be reached through scopegate alone', async (t) => {
  const built = builtFor(t);
  if (built === undefined) return;
  const manifests = built.sidecar;
  const deployment = manifests.find(({ kind }) => kind === 'Deployment') as Manifest;
  const { pod } = podOf(deployment) as { pod: NonNullable<ReturnType<typeof podOf>>['pod'] };
  const [gate] = pod.initContainers ?? [];
  t.match(gate, { name: 'scopegate', restartPolicy: 'Always' }, 'a native sidecar');
  const [workload] = pod.containers;
  const environment = new Map(workload?.env?.map(({ name, value }) => [name, value]));
  const { settings, table } = load(join(folder, 'sidecar/scopegate.yaml'), {});
  t.equal(environment.get('HOST'), '127.0.0.1', 'it listens on the loopback interface');
  t.equal(
    settings?.services.httpbin,
    `http://${environment.get('HOST')}:${environment.get('PORT')}`,
    'where the gateway sends',
  );
  t.same([...new Set(table?.rules.map(({ upstream }) => upstream.origin))], [settings?.services.httpbin]);
  t.equal(workload?.ports, undefined);
  const service = find(built.sidecar, 'Service', 'httpbin')?.spec as { ports: { targetPort: string }[] };
  t.same(
    service.ports.map(({ targetPort }) => targetPort),
    ['gate'],
  );
  const policy = find(built.sidecar, 'NetworkPolicy', 'httpbin')?.spec as {
    policyTypes: string[];
    ingress: { from?: unknown; ports: { port: string }[] }[];
  };
  t.same(policy.policyTypes, ['Ingress']);
  t.same(
    policy.ingress.map(({ from, ports }) => [from !== undefined, ports.map(({ port }) => port)]),
    [
      [false, ['gate']],
      [true, ['admin']],
    ],
    'everybody to the gate, some to the admin port, nobody to the workload',
  );
});

t.test(
  'the sidecar answers under the public name and under the Service’s names in the cluster',
  async (t) => {
    const [service] = read(join(folder, 'sidecar/service.yaml')) as [
      Manifest & { spec: { ports: { port: number }[] } },
    ];
    const { name } = service.metadata;
    const port = service.spec.ports[0]?.port;
    const explain = async (host: string) => {
      const file = join(folder, 'sidecar/scopegate.yaml');
      const io = new Recorder();
      const url = `http://${host}:${port}/headers`;
      return [
        await main(['explain', '--config', file, 'GET', url, '--scope', 'read'], io),
        io.stdout,
      ] as const;
    };
    const names = [name, `${name}.default`, `${name}.default.svc`, `${name}.default.svc.cluster.local`];
    for (const host of ['httpbin.localhost', ...names]) t.equal((await explain(host))[0], 0, host);
    for (const host of ['other', `${name}.other`, `${name}.default.svc.cluster.local.evil.example`]) {
      const [code, printed] = await explain(host);
      t.equal(code, 1, host);
      t.match(printed, /denied: 404/, host);
    }
  },
);

t.test('the mesh asks the service that is there, and fails closed', async (t) => {
  const built = builtFor(t);
  if (built === undefined) return;
  const manifests = built['forward-auth/base'];
  const service = manifests.find(({ kind }) => kind === 'Service') as Manifest;
  const { ports } = service.spec as { ports: { port: number }[] };
  const host = `${service.metadata.name}.${service.metadata.namespace}.svc.cluster.local`;
  const values = parse(readFileSync(join(folder, 'forward-auth/istio/values.yaml'), 'utf8')) as {
    meshConfig: { extensionProviders: [{ name: string; envoyExtAuthzHttp: Record<string, unknown> }] };
  };
  const [provider] = values.meshConfig.extensionProviders;
  t.match(provider.envoyExtAuthzHttp, {
    service: host,
    port: ports[0]?.port,
    pathPrefix: '/decisions',
    failOpen: false,
  });
  const [istio] = read(join(folder, 'forward-auth/kyma/istio.yaml'));
  const { authorizers } = (
    (istio as Manifest).spec as {
      config: { authorizers: [{ name: string; headers: Record<string, Record<string, string[]>> }] };
    }
  ).config;
  const [authorizer] = authorizers;
  t.match(authorizer, { service: host, port: ports[0]?.port, pathPrefix: '/decisions' });
  t.same(
    [
      authorizer.headers.inCheck?.include,
      authorizer.headers.toUpstream?.onAllow,
      authorizer.headers.toDownstream?.onDeny,
    ],
    ['includeRequestHeadersInCheck', 'headersToUpstreamOnAllow', 'headersToDownstreamOnDeny'].map(
      (key) => provider.envoyExtAuthzHttp[key],
    ),
    'the same fields either way',
  );
  const policy = built['forward-auth/istio'].find(({ kind }) => kind === 'AuthorizationPolicy');
  t.match(policy?.spec, { action: 'CUSTOM', provider: { name: provider.name } });
  const rule = built['forward-auth/kyma'].find(({ kind }) => kind === 'APIRule');
  t.match(rule?.spec, { rules: [{ extAuth: { authorizers: [authorizer.name] } }] });
  const { settings, table } = load(join(folder, 'forward-auth/base/scopegate.yaml'), {});
  t.equal(settings?.decisions.describedBy, 'request');
  t.match(
    rule?.spec,
    { hosts: [...new Set((table?.rules ?? []).flatMap(({ hosts }) => hosts))] },
    'the host that has rules',
  );
});

t.test('what the documentation shows of Istio is what ships', (t) => {
  const shown = pages()
    .filter(({ path }) => /^docs\/forward-auth-(?:istio|kyma)\.md$/.test(path))
    .flatMap(({ blocks }) => blocks)
    .filter(({ language }) => language === 'yaml')
    .map(({ text }) => parse(text) as unknown);
  const values = parse(readFileSync(join(folder, 'forward-auth/istio/values.yaml'), 'utf8')) as {
    meshConfig: object;
  };
  const [istio] = read(join(folder, 'forward-auth/kyma/istio.yaml'));
  const [rule] = read(join(folder, 'forward-auth/kyma/apirule.yaml'));
  for (const shipped of [values.meshConfig, istio, rule]) {
    t.ok(
      shown.some((block) => JSON.stringify(block) === JSON.stringify(shipped)),
      JSON.stringify(shipped),
    );
  }
  t.end();
});
