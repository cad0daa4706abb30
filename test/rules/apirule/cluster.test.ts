import t from 'tap';
import { stringify } from 'yaml';
import { ask } from '../../ask.js';
import { startTestGateway } from '../../gateway.js';

const introspection = (scope: string): object => ({
  handler: 'oauth2_introspection',
  config: { required_scope: [scope] },
});

/** A v1beta1 spec of the shapes that clusters have. */
function spec(i: number): object {
  const guarded = { path: '/.*', methods: ['GET'], accessStrategies: [introspection('read')] };
  const write = { path: '/items', methods: ['POST', 'PUT'], accessStrategies: [introspection('write')] };
  const open = {
    path: '/healthz',
    methods: ['HEAD'],
    accessStrategies: [{ handler: i % 2 === 0 ? 'allow' : 'no_auth' }],
    mutators: [{ handler: 'noop' }],
  };
  return {
    gateway: 'kyma-system/kyma-gateway',
    host: `app-${i}.example.com`,
    rules: i % 3 === 0 ? [guarded, write, open] : [guarded, write],
    service: { name: `app-${i}`, namespace: `team-${i % 4}`, port: 8080 },
    ...(i % 5 === 0 ? { timeout: 90 } : {}),
  };
}

/** What the API server adds to every object. */
function metadata(i: number, annotations: object): object {
  return {
    annotations,
    creationTimestamp: '2025-03-01T12:00:00Z',
    finalizers: ['gateway.kyma-project.io/subresources'],
    generation: 3,
    labels: { app: `app-${i}`, 'app.kubernetes.io/managed-by': 'Helm' },
    name: `app-${i}`,
    namespace: `team-${i % 4}`,
    resourceVersion: String(1_000 + i),
    uid: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
  };
}

/** `kubectl get apirules -A -o yaml`, half of it before and half after the cluster moved its storage to v2. */
function listing(count: number): string {
  const items = Array.from({ length: count }, (_, i) => {
    const status = { lastProcessedTime: '2026-08-01T08:00:00Z', state: 'Ready', description: 'Reconciled' };
    if (i % 2 === 0) {
      const applied = JSON.stringify({ apiVersion: 'gateway.kyma-project.io/v1beta1', kind: 'APIRule' });
      return {
        apiVersion: 'gateway.kyma-project.io/v1beta1',
        kind: 'APIRule',
        metadata: metadata(i, { 'kubectl.kubernetes.io/last-applied-configuration': applied }),
        spec: spec(i),
        status: { APIRuleStatus: { code: 'OK' }, ...status },
      };
    }
    return {
      apiVersion: 'gateway.kyma-project.io/v2',
      kind: 'APIRule',
      metadata: metadata(i, { 'gateway.kyma-project.io/v1beta1-spec': JSON.stringify(spec(i)) }),
      spec: {},
      status: { ...status, state: 'Warning' },
    };
  });
  return stringify({ apiVersion: 'v1', items, kind: 'List', metadata: { resourceVersion: '' } });
}

t.test('twenty APIRules as kubectl prints them are loaded and served', async (t) => {
  const gate = await startTestGateway(t, {
    rules: listing(20),
    settings: { matching: { overlap: 'error' } },
    tokens: { reader: { scope: 'read' }, writer: { scope: 'write' } },
  });
  const { text } = await ask({ url: gate.gateway.adminUrl }, '/rules', { host: 'localhost' });
  t.equal((JSON.parse(text) as { rules: unknown[] }).rules.length, 47, 'the admin port lists their rules');
  for (let i = 0; i < 20; i++) {
    const host = `app-${i}.example.com`;
    const status = async (method: string, path: string, token?: string): Promise<number> =>
      (await ask(gate, path, { method, host, ...(token === undefined ? {} : { token }) })).status;
    t.equal(await status('GET', '/x', 'reader'), 200, `${host} reads`);
    t.equal(await status('GET', '/x', 'writer'), 403, `${host} needs the scope`);
    t.equal(await status('GET', '/x'), 401, `${host} needs a token`);
    t.equal(await status('POST', '/items', 'writer'), 200, `${host} writes`);
    t.equal(await status('POST', '/x', 'writer'), 404, `${host} has no other rule`);
    t.equal(await status('HEAD', '/healthz'), i % 3 === 0 ? 200 : 404, `${host} is open where it said so`);
  }
});
