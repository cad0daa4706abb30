export const MINIMAL =
  'rules: [ ./rules ]\nintrospection:\n  url: http://hydra:4445/admin/oauth2/introspect\n';
