/** A rule file without a mistake. */
export const TYPED = `apiVersion: gateway.kyma-project.io/v1beta1
kind: APIRule
metadata: { name: demo }
spec:
  gateway: g/h
  host: demo.local
  service: { name: demo, port: 80 }
  rules:
    - path: /a
      methods: [GET]
      accessStrategies:
        - handler: no_auth
`;

/** The same with one mistake: `metods` at 10:7. */
export const MISTYPED = TYPED.replace('methods', 'metods');
