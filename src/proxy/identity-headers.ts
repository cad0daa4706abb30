/**
 * Fields that upstreams take for a statement of the gateway: who the user is, where the request came from, what
 * method was meant. A client's copies never pass, on any rule and with any handler (RFC 9700 §4.13); what the
 * gateway itself states is set after they are gone.
 */
const MANAGED: ReadonlySet<string> = new Set([
  'client-cert',
  'client-cert-chain',
  'forwarded',
  'remote-user',
  'x-auth-email',
  'x-auth-request-access-token',
  'x-auth-request-email',
  'x-auth-request-groups',
  'x-auth-request-preferred-username',
  'x-auth-request-user',
  'x-auth-user',
  'x-authenticated-user',
  'x-authenticated-userid',
  'x-client-id',
  'x-credential-identifier',
  'x-email',
  'x-envoy-original-path',
  'x-ext-authz-check-result',
  'x-groups',
  'x-http-method',
  'x-http-method-override',
  'x-id-token',
  'x-jwt-payload',
  'x-method-override',
  'x-original-forwarded-for',
  'x-original-host',
  'x-original-method',
  'x-original-uri',
  'x-original-url',
  'x-real-ip',
  'x-remote-user',
  'x-ssl-client-cert',
  'x-rewrite-url',
  'x-roles',
  'x-scope',
  'x-scopes',
  'x-subject',
  'x-token-claims',
  'x-token-subject',
  'x-user',
  'x-user-email',
  'x-user-id',
  'x-user-name',
  'x-user-roles',
  'x-userinfo',
  'x-username',
]);

/** Whether a client's field of this lower-case name must not reach the upstream. */
export function isManaged(name: string): boolean {
  // CGI and WSGI upstreams read X_User as X-User; no field with an underscore passes.
  return name.includes('_') || name.startsWith('x-forwarded-') || MANAGED.has(name);
}
