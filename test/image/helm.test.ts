import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { main } from '../../src/cli.js';
import { loadSettings } from '../../src/config/settings.js';
import { Recorder } from '../commands/io.js';
import { available, HELM } from '../require.js';
import { root } from '../root.js';
import {
  type Container,
  containersOf,
  documents,
  type Manifest,
  podOf,
  read,
  validate,
} from './manifests.js';

const chart = join(root, 'config/helm/scopegate');
const RULE = readFileSync(join(root, 'config/rules/httpbin.apirule.yaml'), 'utf8');
/** What every installation has to say. */
const VALUES = {
  settings: { introspection: { url: 'http://hydra-admin.ory:4445/admin/oauth2/introspect' } },
  rules: { 'httpbin.yaml': RULE },
};
/** Of another vendor's kinds there is no schema here. */
const OPERATOR = ['ServiceMonitor', 'PrometheusRule'];

function helm(args: readonly string[], input = '') {
  const program = HELM.find((path) => existsSync(path)) ?? HELM[1];
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8', timeout: 60_000 });
  return { status, stdout, stderr };
}

/** What an installation comes to, or why there is none. */
function template(values: object, from = chart) {
  // A helm that Go has compiled knows no newer Kubernetes by itself.
  const flags = ['--namespace', 'edge', '--values', '-', '--kube-version', '1.30.0'];
  return helm(['template', 'gate', from, ...flags], JSON.stringify(values));
}

function render(values: object, from = chart): Manifest[] {
  const { status, stdout, stderr } = template(values, from);
  if (status !== 0) throw new Error(stderr);
  return documents(stdout).filter((manifest) => manifest !== null);
}

const find = (manifests: readonly Manifest[], kind: string, ending = '') =>
  manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name.endsWith(ending));

/** The fields in which the container of the chart must be that of config/kubernetes. */
function comparable({
  ports,
  startupProbe,
  readinessProbe,
  livenessProbe,
  lifecycle,
  resources,
  volumeMounts,
}: Container) {
  const mounts = volumeMounts?.map(({ mountPath, subPath, readOnly }) => ({ mountPath, subPath, readOnly }));
  const admin = ports?.filter(({ name }) => name === 'admin');
  return { admin, startupProbe, readinessProbe, livenessProbe, lifecycle, resources, mounts };
}

t.test('the chart is one that helm likes, with the release of the package', (t) => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  t.match(parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8')), { version, appVersion: version });
  const alerts = readFileSync(join(chart, 'alerts.yaml'), 'utf8');
  t.equal(
    alerts,
    readFileSync(join(root, 'config/prometheus-alerts.yaml'), 'utf8'),
    'renew with: npm run docs',
  );
  if (available(t, 'helm')) {
    const { status, stdout } = helm(['lint', '--strict', chart]);
    t.equal(status, 0, stdout);
  }
  t.end();
});

t.test('everything it makes is valid, in every mode', (t) => {
  if (available(t, 'helm')) {
    const modes = {
      plain: {},
      'forward-auth': { service: { port: 0, adminPort: 4456 } },
      everything: {
        service: { adminPort: 4456, annotations: { a: 'b' } },
        serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
        prometheusRule: { enabled: true },
        secretName: 'secrets',
        image: { digest: `sha256:${'0'.repeat(64)}` },
        imagePullSecrets: [{ name: 'pull' }],
        env: [{ name: 'SCOPEGATE_LOG_LEVEL', value: 'debug' }],
        podAnnotations: { a: 'b' },
        podLabels: { c: 'd' },
        nodeSelector: { e: 'f' },
        tolerations: [{ key: 'g', operator: 'Exists' }],
        affinity: { nodeAffinity: {} },
        networkPolicy: { proxyFrom: [{ podSelector: {} }], adminFrom: [] },
      },
      bare: { podDisruptionBudget: { enabled: false }, networkPolicy: { enabled: false } },
    };
    for (const [name, values] of Object.entries(modes)) {
      const manifests = render({ ...VALUES, ...values });
      t.ok(find(manifests, 'Deployment'), name);
      for (const manifest of manifests.filter(({ kind }) => !OPERATOR.includes(kind))) {
        t.doesNotThrow(() => validate(manifest), `${name}: ${manifest.kind} ${manifest.metadata.name}`);
      }
    }
    const full = render({ ...VALUES, ...modes.everything });
    const [monitor, alerts] = OPERATOR.map((kind) => find(full, kind));
    t.match(monitor?.spec, { endpoints: [{ port: 'http-admin', path: '/metrics' }] });
    t.match(monitor?.metadata.labels, { release: 'prometheus' });
    t.same(alerts?.spec, parse(readFileSync(join(root, 'config/prometheus-alerts.yaml'), 'utf8')));
    const { image } = containersOf(find(full, 'Deployment') as Manifest)[0] as Container;
    t.match(image, /^ghcr\.io\/example\/scopegate@sha256:0{64}$/);
    const policy = find(full, 'NetworkPolicy')?.spec as { ingress: { ports: { port: string }[] }[] };
    t.same(
      policy.ingress.map(({ ports }) => ports.map(({ port }) => port)),
      [['gate']],
      'nobody listed for the admin port is nobody',
    );
  }
  t.end();
});

t.test('its pod is as hardened and as probed as that of config/kubernetes', async (t) => {
  if (!available(t, 'helm')) return;
  const manifests = render(VALUES);
  const deployment = find(manifests, 'Deployment') as Manifest;
  const [theirs] = read(join(root, 'config/kubernetes/forward-auth/base/deployment.yaml'));
  const [mine, other] = [deployment, theirs as Manifest].map((each) => podOf(each)?.pod);
  t.match(mine, { automountServiceAccountToken: false, securityContext: other?.securityContext as object });
  const [container, kustomized] = [deployment, theirs as Manifest].map(
    (each) => containersOf(each)[0] as Container,
  );
  t.same(comparable(container as Container), comparable(kustomized as Container));
  t.match(container?.securityContext, kustomized?.securityContext as object);

  // The files as the pod has them.
  const folder = t.testdir({ rules: find(manifests, 'ConfigMap', '-rules')?.data ?? {} });
  const file = join(folder, 'scopegate.yaml');
  writeFileSync(file, find(manifests, 'ConfigMap', '-settings')?.data?.['scopegate.yaml'] ?? '');
  const io = new Recorder();
  t.equal(await main(['check', '--strict', '--config', file], io), 0, io.stdout);
  const { settings } = loadSettings(file, {});
  const ports = Object.fromEntries(
    container?.ports?.map(({ name, containerPort }) => [name, containerPort]) ?? [],
  );
  t.same(ports, { gate: settings?.listen.proxy.port, admin: settings?.listen.admin.port });
  const drain = (settings?.server.drainTimeout ?? 0) / 1000;
  const preStop = container?.lifecycle?.preStop?.sleep?.seconds ?? 0;
  t.ok((mine?.terminationGracePeriodSeconds ?? 0) >= preStop + drain + 5, 'the drain fits in');

  const [selector, labels] = [find(manifests, 'Service')?.spec, podOf(deployment)?.labels];
  t.match(labels, (selector as { selector: object }).selector);
  const checksum = (values: object) => {
    const { spec } = find(render(values), 'Deployment') as Manifest & {
      spec: { template: { metadata: { annotations: Record<string, string> } } };
    };
    return spec.template.metadata.annotations['checksum/settings'];
  };
  const before = checksum(VALUES);
  t.equal(checksum({ ...VALUES, rules: { 'other.yaml': RULE } }), before, 'rules renew no pod');
  t.not(
    checksum({ ...VALUES, settings: { ...VALUES.settings, log: { level: 'warn' } } }),
    before,
    'settings do',
  );
});

t.test('what cannot work is refused, and says why', (t) => {
  if (available(t, 'helm')) {
    const cases: readonly [object, RegExp][] = [
      [{ rules: VALUES.rules }, /settings\.introspection\.url is missing/],
      [{ settings: VALUES.settings }, /rules are missing: set rules, or rulesConfigMap/],
      [{ ...VALUES, replica: 3 }, /replica/],
      [{ ...VALUES, service: { port: 'http' } }, /service.*port|port.*integer/s],
      [{ ...VALUES, rules: { 'no suffix': RULE } }, /no suffix/],
      [{ ...VALUES, serviceMonitor: { enabled: true } }, /serviceMonitor needs service\.adminPort/],
    ];
    for (const [values, message] of cases) {
      const { status, stderr } = template(values);
      t.not(status, 0, String(message));
      t.match(stderr, message);
    }
  }
  t.end();
});

t.test('another chart takes it as the sidecar of its own workload', (t) => {
  if (available(t, 'helm')) {
    const parent = join(t.testdir({}), 'shop');
    mkdirSync(join(parent, 'charts'), { recursive: true });
    mkdirSync(join(parent, 'templates'));
    cpSync(chart, join(parent, 'charts/scopegate'), { recursive: true });
    writeFileSync(join(parent, 'Chart.yaml'), 'apiVersion: v2\nname: shop\nversion: 1.0.0\n');
    const [, page = ''] =
      /^```text helm\n(.*?)^```$/ms.exec(readFileSync(join(root, 'docs/helm.md'), 'utf8')) ?? [];
    t.match(page, 'scopegate.sidecar', 'the page shows how');
    writeFileSync(join(parent, 'templates/deployment.yaml'), page);
    const scopegate = { ...VALUES, standalone: false };
    const manifests = render({ scopegate }, parent);
    t.same(manifests.map(({ kind }) => kind).sort(), ['ConfigMap', 'ConfigMap', 'Deployment']);
    for (const manifest of manifests) t.doesNotThrow(() => validate(manifest), manifest.kind);
    const { pod } = podOf(find(manifests, 'Deployment') as Manifest) ?? {};
    t.match(pod?.initContainers, [{ name: 'scopegate', restartPolicy: 'Always' }], 'a native sidecar');
    t.match(pod?.initContainers?.[0]?.securityContext, { readOnlyRootFilesystem: true, runAsUser: 65532 });
    const maps = manifests.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata }) => metadata.name);
    t.same(pod?.volumes?.map(({ configMap }) => configMap?.name).sort(), maps.sort());
  }
  t.end();
});
