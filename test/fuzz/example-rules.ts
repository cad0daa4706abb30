/** Stands where a secret would. No output may hold it. */
export const SECRET = 'sEcReT-nobody-may-see';

const service = { name: 'orders', namespace: 'shop', port: 8080, external: false };
const introspection = {
  required_scope: ['orders.read'],
  target_audience: ['https://orders.example.com'],
  trusted_issuers: ['https://issuer.example.com'],
  scope_strategy: 'wildcard',
  introspection_request_headers: { 'X-Tenant': 'north' },
  token_from: { header: 'X-Token' },
  forward_token: false,
  prefix: 'ory_at_',
  cache: { enabled: true, ttl: '30s' },
  max_token_age: '12h',
  leeway: '5s',
  allowed_clients: ['shop'],
  acr_values: ['urn:example:mfa'],
  max_age: 300,
  claims: {
    required: ['tenant'],
    properties: { tenant: { type: 'string', enum: ['north'], pattern: '^n' } },
  },
};

const mutators = [
  {
    handler: 'header',
    config: { headers: { 'X-User': '{{ print .Subject }}', 'X-Team': '{{ .Extra.team }}' } },
  },
  { handler: 'cookie', config: { cookies: { user: '{{ print .Subject }}' } } },
  {
    handler: 'id_token',
    config: {
      issuer_url: 'https://gateway.example.com/',
      ttl: '15m',
      claims: '{"team": "{{ print .Extra.team }}"}',
    },
  },
  {
    handler: 'hydrator',
    config: {
      api: {
        url: 'http://hydrator:8080/hydrate',
        auth: { basic: { username: 'u', password: SECRET } },
        retry: { give_up_after: '1s', max_delay: '100ms' },
      },
      headers: ['X-Hydrated'],
      cache: { enabled: true, ttl: '1m' },
    },
  },
];

const options = {
  encodedSlash: 'keep',
  semicolon: 'refuse',
  stripPath: '/orders',
  upstreamPath: '/v1',
  preserveHost: true,
  staleIfError: '5m',
  enforcement: 'observe',
  authorizers: [
    {
      handler: 'remote_json',
      config: {
        remote: 'http://opa:8181/v1/data/authz',
        headers: { 'X-A': '{{ .Subject }}' },
        payload: '{"subject": "{{ print .Subject }}"}',
        allow_from: 'result',
        cache: { ttl: '5s', key: ['{{ .Subject }}'] },
        retry: { give_up_after: '1s' },
      },
    },
  ],
  errors: [
    {
      handler: 'redirect',
      config: {
        to: 'https://login.example.com/',
        code: 302,
        return_to_query_param: 'rd',
        when: [{ error: ['unauthorized'], request: { header: { accept: ['text/html'] } } }],
      },
    },
    { handler: 'www_authenticate', config: { realm: 'orders' } },
  ],
};

/** An APIRule v1beta1 with all handlers, mutators and options. */
export const v1beta1 = {
  apiVersion: 'gateway.kyma-project.io/v1beta1',
  kind: 'APIRule',
  metadata: { name: 'orders', namespace: 'shop', labels: { app: 'orders' } },
  spec: {
    gateway: 'kyma-system/kyma-gateway',
    host: 'orders.example.com',
    service,
    timeout: 60,
    corsPolicy: {
      allowOrigins: [{ exact: 'https://a.example' }, { regex: 'https://b[0-9]\\.example' }],
      allowMethods: ['GET'],
      allowHeaders: ['X-A'],
      exposeHeaders: ['X-B'],
      allowCredentials: true,
      maxAge: '5m',
    },
    rules: [
      {
        path: '/orders/([0-9]+|[a-f]{1,8})/?',
        methods: ['GET', 'HEAD'],
        accessStrategies: [
          { handler: 'oauth2_introspection', config: introspection },
          { handler: 'anonymous', config: { subject: 'guest' } },
        ],
        mutators,
        scopegate: options,
      },
      {
        path: '/jwt/.*',
        methods: ['POST'],
        service: { name: 'other', port: 80 },
        timeout: 30,
        accessStrategies: [
          {
            handler: 'jwt',
            config: {
              jwks_urls: ['https://dex.example.com/keys'],
              trusted_issuers: ['https://dex.example.com'],
              allowed_algorithms: ['RS256'],
              required_scope: ['a'],
              token_sources: [
                { header: 'X-T', scheme: 'Token' },
                { query_parameter: 'access_token' },
                { cookie: 's' },
              ],
            },
          },
        ],
      },
      {
        path: '/istio',
        methods: ['GET'],
        accessStrategies: [
          {
            handler: 'jwt',
            config: {
              authentications: [
                {
                  issuer: 'https://dex.example.com',
                  jwksUri: 'https://dex.example.com/keys',
                  fromHeaders: [{ name: 'X-Jwt', prefix: 'Jwt ' }],
                },
              ],
              authorizations: [{ requiredScopes: ['a'], audiences: ['b'] }],
            },
          },
        ],
      },
      {
        path: '/session',
        methods: ['GET'],
        accessStrategies: [
          {
            handler: 'cookie_session',
            config: {
              check_session_url: 'http://kratos:4433/sessions/whoami',
              preserve_path: true,
              force_method: 'GET',
              only: ['ory_kratos_session'],
              forward_http_headers: ['X-A'],
              additional_headers: { 'X-B': 'c' },
              subject_from: 'identity.id',
            },
          },
        ],
      },
      {
        path: '/credentials',
        methods: ['GET'],
        accessStrategies: [
          {
            handler: 'oauth2_client_credentials',
            config: {
              token_url: 'http://hydra:4444/oauth2/token',
              required_scope: ['orders.write'],
              cache: { enabled: true, ttl: '60s', max_tokens: 10 },
              retry: { give_up_after: '1s', max_delay: '100ms' },
            },
          },
        ],
      },
      {
        path: '/pre',
        methods: ['GET'],
        accessStrategies: [
          {
            handler: 'oauth2_introspection',
            config: {
              introspection_url: 'http://hydra:4445/admin/oauth2/introspect',
              pre_authorization: {
                enabled: true,
                client_id: 'c',
                client_secret: SECRET,
                token_url: 'http://hydra:4444/oauth2/token',
                scope: ['introspect'],
                audience: 'a',
              },
            },
          },
        ],
      },
    ],
  },
};

/** An APIRule v2. */
export const v2 = {
  apiVersion: 'gateway.kyma-project.io/v2',
  kind: 'APIRule',
  metadata: { name: 'orders', namespace: 'shop' },
  spec: {
    gateway: 'kyma-system/kyma-gateway',
    hosts: ['orders.example.com', '*.wide.example.com'],
    service: { name: 'orders', port: 8080 },
    timeout: 60,
    corsPolicy: { allowOrigins: [{ prefix: 'https://' }], maxAge: 60 },
    rules: [
      {
        path: '/orders/{*}/a/{**}',
        methods: ['GET'],
        timeout: 5,
        jwt: {
          authentications: [
            {
              issuer: 'https://dex.example.com',
              jwksUri: 'https://dex.example.com/keys',
              fromHeaders: [{ name: 'X-Jwt', prefix: 'Jwt ' }],
            },
          ],
          authorizations: [{ requiredScopes: ['a'], audiences: ['b'] }],
        },
        request: { headers: { 'X-Id': '%REQ(x-request-id)%' }, cookies: { a: 'b' } },
      },
      { path: '/open', methods: ['GET'], noAuth: true },
      { path: '/ext', methods: ['GET'], extAuth: { authorizers: ['opa'] } },
    ],
  },
};

/** A list as `kubectl get apirules -o json` prints it. */
export const exported = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      ...v2,
      metadata: {
        ...v2.metadata,
        annotations: {
          'gateway.kyma-project.io/original-version': 'v1beta1',
          'gateway.kyma-project.io/v1beta1-spec': JSON.stringify({
            ...v1beta1.spec,
            rules: v1beta1.spec.rules.slice(1, 2),
          }),
        },
        resourceVersion: '1',
        uid: 'a',
      },
      spec: { gateway: 'kyma-system/kyma-gateway', hosts: ['orders.example.com'] },
    },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: { a: 'b' } },
  ],
};
