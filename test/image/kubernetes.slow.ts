import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { available } from '../require.js';
import { root } from '../root.js';
import { build, type Manifest } from './manifests.js';

const TYPES: Readonly<Record<string, string>> = {
  AuthorizationPolicy: '@kubernetes-models/istio/security.istio.io/v1/AuthorizationPolicy',
  ConfigMap: 'kubernetes-models/v1/ConfigMap',
  Deployment: 'kubernetes-models/apps/v1/Deployment',
  Namespace: 'kubernetes-models/v1/Namespace',
  NetworkPolicy: 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy',
  PodDisruptionBudget: 'kubernetes-models/policy/v1/PodDisruptionBudget',
  Service: 'kubernetes-models/v1/Service',
};

/** What the compiler says of manifests written as literals of their types: a field that no type has is among it. */
function complaints(folder: string, manifests: readonly Manifest[]): string[] {
  const source = manifests
    .map((data, i) => {
      const type = TYPES[data.kind];
      if (type === undefined) throw new Error(`no type of ${data.kind}`);
      return `import type { I${data.kind} as T${i} } from '${type}';\nexport const m${i}: T${i} = ${JSON.stringify(data)};`;
    })
    .join('\n');
  const file = join(folder, 'manifests.mts');
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2023,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, source, ts.ScriptTarget.ES2023) : getSourceFile(name, ...rest);
  host.fileExists = (name) => name === file || fileExists(name);
  host.readFile = (name) => (name === file ? source : readFile(name));
  const program = ts.createProgram([file], options, host);
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

t.test('no manifest has a field that its kind has not', async (t) => {
  if (!available(t, 'kubectl')) return;
  const folder = join(root, 'test');
  const manifests = ['hydra', 'sidecar', 'forward-auth/istio', 'forward-auth/kyma']
    .flatMap((use) => build(join(root, 'config/kubernetes', use)))
    .filter(({ kind }) => kind !== 'APIRule');
  t.same(complaints(folder, manifests), []);
  const mistyped = structuredClone(manifests.find(({ kind }) => kind === 'Deployment')) as Manifest & {
    spec: { template: { spec: object } };
  };
  Object.assign(mistyped.spec.template.spec, { automountServiceAccountTokens: false });
  t.match(complaints(folder, [mistyped]), [/automountServiceAccountTokens/], 'a mistyped one is found');
});
