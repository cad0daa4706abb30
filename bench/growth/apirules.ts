import { SHAPES } from '../rulesets.js';

/** The most rules of one APIRule. A host with more has several of them. */
const OF_ONE = 100;

/**
 * APIRules as text, whose service is `httpbin`. The first rule of the first host, `gate.example`, is for `/get`, which the load asks for; all
 * rules require the scope `read`.
 *
 * @param shape what the other paths look like, a name of `SHAPES`
 * @param count a multiple of `hosts`
 * @throws Error if there is no such shape
 */
export function apiRules(shape: string, count: number, hosts: number): string {
  const make = SHAPES[shape];
  if (make === undefined) throw new Error(`no such shape: ${shape}`);
  const documents: string[] = [];
  const own = count / hosts;
  for (let host = 0; host < hosts; host++) {
    const name = host === 0 ? 'gate.example' : `h${host}.example`;
    const rules = Array.from({ length: own }, (_, i) =>
      ruleOf(host === 0 && i === 0 ? '/get' : make(host * own + i, i).path),
    );
    for (let at = 0; at < own; at += OF_ONE) {
      documents.push(documentOf(`rules-${host}-${at / OF_ONE}`, name, rules.slice(at, at + OF_ONE)));
    }
  }
  return documents.join('---\n');
}

function ruleOf(path: string): string {
  return `    - path: ${path}
      methods: ["GET"]
      accessStrategies:
        - handler: oauth2_introspection
          config: { required_scope: ["read"] }
`;
}

function documentOf(name: string, host: string, rules: readonly string[]): string {
  return `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: ${name}, namespace: default }
spec:
  gateway: kyma-system/kyma-gateway
  host: ${host}
  service: { name: httpbin, port: 8000 }
  rules:
${rules.join('')}`;
}
