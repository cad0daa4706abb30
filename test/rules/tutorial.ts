/**
 * The two APIRules of Kyma's tutorial "Expose and secure a workload with OAuth2", letter by letter, blanks at the end
 * of a line too, with the shell's variables expanded: the namespace is `demo`, the domain `kyma.local`.
 *
 * @returns the HttpBin's, then the Function's
 */
export function tutorialManifests(): [httpbin: string, fun: string] {
  return [HTTPBIN, FUNCTION];
}

const HTTPBIN = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata:
  name: httpbin
  namespace: demo
spec:
  gateway: namespace-name/httpbin-gateway #The value corresponds to the Gateway CR you created. 
  host: httpbin.kyma.local
  service:
    name: httpbin
    port: 8000
  rules:
    - path: /.*
      methods: ["GET"]
      accessStrategies:
        - handler: oauth2_introspection
          config:
            required_scope: ["read"]
    - path: /post
      methods: ["POST"]
      accessStrategies:
        - handler: oauth2_introspection
          config:
            required_scope: ["write"]
`;

const FUNCTION = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata:
  name: function
  namespace: demo
spec:
  gateway: namespace-name/httpbin-gateway #The value corresponds to the Gateway CR you created. 
  host: function-example.kyma.local
  service:
    name: function
    port: 80
  rules:
    - path: /function
      methods: ["GET"]
      accessStrategies:
        - handler: oauth2_introspection
          config:
            required_scope: ["read"]
`;
