import { SECRET } from './example-rules.js';

const rules = [
  {
    id: 'orders',
    description: 'd',
    version: 'v0.40.0',
    match: { url: '<https|http>://orders.example.com/orders/<[0-9]+>', methods: ['GET'] },
    upstream: { url: 'http://orders.shop:8080/v1', strip_path: '/orders', preserve_host: true },
    authenticators: [{ handler: 'oauth2_introspection', config: { required_scope: ['a'] } }],
    authorizer: { handler: 'remote_json', config: { remote: 'http://opa/x', payload: '{}' } },
    mutators: [{ handler: 'header', config: { headers: { 'X-User': '{{ print .Subject }}' } } }],
    errors: [{ handler: 'redirect', config: { to: 'https://login.example.com/' } }],
  },
  {
    id: 'globs',
    match: { url: 'http://<{a,b}>.example.com/<{x,y}>/<**>', methods: ['GET', 'POST'] },
    upstream: { url: 'http://orders:80' },
    authenticators: [{ handler: 'noop' }],
    authorizer: { handler: 'allow' },
    mutators: [{ handler: 'noop' }],
  },
];

/** Access rules of Oathkeeper: one with expressions, one with globs. */
export const [regexpRule, globRule] = rules;

/** A configuration of Oathkeeper. */
export const oathkeeper = {
  serve: {
    proxy: { port: 4455, cors: { enabled: true, allowed_origins: ['https://*.example.com'], max_age: 5 } },
    api: { port: 4456 },
  },
  access_rules: {
    matching_strategy: 'regexp',
    repositories: ['file://./rules.json', `inline://${Buffer.from('[]').toString('base64')}`],
  },
  authenticators: {
    oauth2_introspection: {
      enabled: true,
      config: {
        introspection_url: 'http://hydra:4445/oauth2/introspect',
        scope_strategy: 'exact',
        pre_authorization: {
          enabled: true,
          client_id: 'a',
          client_secret: SECRET,
          token_url: 'http://h/t',
          scope: ['x'],
        },
        cache: { enabled: true, ttl: '60s' },
      },
    },
    jwt: { enabled: true, config: { jwks_urls: ['http://a/keys'], trusted_issuers: ['b'] } },
    noop: { enabled: true },
  },
  authorizers: {
    allow: { enabled: true },
    remote_json: { enabled: true, config: { remote: 'http://opa/x', payload: '{}' } },
  },
  mutators: {
    noop: { enabled: true },
    header: { enabled: true, config: { headers: { 'X-A': 'b' } } },
    id_token: { enabled: true, config: { issuer_url: 'http://i', jwks_url: 'file:///k', ttl: '5m' } },
  },
  errors: {
    fallback: ['json'],
    handlers: {
      json: { enabled: true, config: { verbose: true } },
      redirect: { enabled: true, config: { to: 'http://l' } },
    },
  },
  log: { level: 'info' },
};
