/** The kind of statement in a field that upstreams trust. */
export type StatementKind = 'user' | 'certificate' | 'address' | 'routing' | 'method' | 'framework';

/**
 * Request fields of one family. Upstreams trust them, because they assume that a proxy or a framework has set
 * them.
 */
export interface IdentityFamily {
  readonly family: string;
  readonly kind: StatementKind;
  /** Names, and prefixes of names that end in `*`. A family is removed as a whole. */
  readonly fields: readonly string[];
  /** Names that match one of the prefixes, but that clients legitimately send. */
  readonly except?: readonly string[];
  readonly believedBy: string;
  /** The documentation of this behaviour. */
  readonly source: string;
}

/**
 * The request fields that scopegate removes from every client's request, on any rule and with any handler
 * (RFC 9700 §4.13). They state who the user is, which certificate was presented, where the request came from,
 * or which host, path or method was meant. scopegate and its mutators set their own fields after the removal.
 * `docs/identity-fields.md` is generated from this table.
 *
 * The table does not contain fields in which clients send their own credential (X-Api-Key, X-Auth-Token,
 * X-Access-Token).
 */
export const IDENTITY_TABLE: readonly IdentityFamily[] = [
  {
    family: 'forwarding proxies',
    kind: 'address',
    fields: ['Forwarded', 'Forwarded-*', 'X-Forwarded', 'X-Forwarded-*', 'X-Forward-For', 'X-Forwarder-For'],
    believedBy:
      'web frameworks behind a proxy; -User, -Email, -Groups, -Preferred-Username and -Access-Token: workloads behind oauth2-proxy',
    source: 'https://www.rfc-editor.org/rfc/rfc7239',
  },
  {
    family: 'names in common use',
    kind: 'user',
    fields: [
      'X-Authenticated-*',
      'X-Auth-Email',
      'X-Auth-Groups',
      'X-Auth-Name',
      'X-Auth-Roles',
      'X-Auth-Subject',
      'X-Auth-User',
      'X-Auth-Userid',
      'X-Auth-Username',
      'X-Claims',
      'X-Client-Id',
      'X-Email',
      'X-Group',
      'X-Groups',
      'X-Id-Token',
      'X-Identity',
      'X-Identity-*',
      'X-Jwt-*',
      'X-Permissions',
      'X-Role',
      'X-Roles',
      'X-Scope',
      'X-Scopes',
      'X-Sub',
      'X-Subject',
      'X-Token-*',
      'X-User',
      'X-User-*',
      'X-Userid',
      'X-Userinfo',
      'X-Username',
    ],
    except: ['X-User-Agent'],
    believedBy: 'workloads behind Oathkeeper, Istio, Gatekeeper, WSO2 and custom gateways',
    source: 'https://www.ory.sh/docs/oathkeeper/pipeline/mutator',
  },
  {
    family: 'oauth2-proxy',
    kind: 'user',
    fields: ['X-Auth-Request-*'],
    believedBy: 'workloads behind oauth2-proxy with nginx',
    source: 'https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview',
  },
  {
    family: 'Authelia, CGI',
    kind: 'user',
    fields: ['Remote-*'],
    believedBy: 'workloads behind Authelia; REMOTE_USER of CGI, WSGI and PHP',
    source: 'https://www.authelia.com/integration/trusted-header-sso/introduction/',
  },
  {
    family: 'Kubernetes authenticating proxy',
    kind: 'user',
    fields: ['X-Remote-*'],
    believedBy: 'the Kubernetes API server and its aggregated API servers',
    source: 'https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy',
  },
  {
    family: 'Kubernetes impersonation',
    kind: 'user',
    fields: ['Impersonate-*'],
    believedBy: 'the Kubernetes API server',
    source: 'https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation',
  },
  {
    family: 'Kong, APISIX',
    kind: 'user',
    fields: ['X-Consumer-*', 'X-Credential-*', 'X-Anonymous-Consumer'],
    believedBy: 'workloads behind Kong or APISIX',
    source: 'https://docs.konghq.com/hub/kong-inc/key-auth/',
  },
  {
    family: 'Grafana, Gitea',
    kind: 'user',
    fields: ['X-Webauth-*'],
    believedBy: 'Grafana and Gitea with their proxy authentication',
    source:
      'https://grafana.com/docs/grafana/latest/setup-grafana/configure-access/configure-authentication/auth-proxy/',
  },
  {
    family: 'AWS load balancers',
    kind: 'user',
    fields: ['X-Amzn-Oidc-*', 'X-Amzn-Mtls-*'],
    believedBy: 'workloads behind an Application Load Balancer',
    source:
      'https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html',
  },
  {
    family: 'Google Cloud',
    kind: 'user',
    fields: ['X-Goog-*', 'X-Appengine-*', 'X-Apigateway-Api-Userinfo', 'X-Endpoint-Api-*'],
    believedBy: 'workloads behind Identity-Aware Proxy, App Engine, API Gateway or Cloud Endpoints',
    source: 'https://cloud.google.com/iap/docs/identity-howto',
  },
  {
    family: 'Azure App Service',
    kind: 'user',
    fields: ['X-Ms-Client-Principal*', 'X-Ms-Token-*', 'X-Arr-*'],
    believedBy: 'workloads of App Service and Container Apps',
    source: 'https://learn.microsoft.com/en-us/azure/app-service/configure-authentication-user-identities',
  },
  {
    family: 'Cloudflare',
    kind: 'user',
    fields: ['Cf-Access-*', 'Cf-Cert-*', 'Cf-Client-Cert-*', 'Cf-Connecting-*', 'Cf-Pseudo-Ipv4'],
    believedBy: 'workloads behind Cloudflare and Cloudflare Access',
    source: 'https://developers.cloudflare.com/fundamentals/reference/http-headers/',
  },
  {
    family: 'Pomerium',
    kind: 'user',
    fields: ['X-Pomerium-*'],
    believedBy: 'workloads behind Pomerium',
    source: 'https://www.pomerium.com/docs/capabilities/getting-users-identity',
  },
  {
    family: 'Tailscale',
    kind: 'user',
    fields: ['Tailscale-*', 'X-Tailscale-*'],
    believedBy: 'workloads behind Tailscale Serve',
    source: 'https://tailscale.com/s/serve-headers',
  },
  {
    family: 'authentik',
    kind: 'user',
    fields: ['X-Authentik-*'],
    believedBy: 'workloads behind authentik’s proxy provider',
    source: 'https://docs.goauthentik.io/add-secure-apps/providers/proxy',
  },
  {
    family: 'Vouch Proxy',
    kind: 'user',
    fields: ['X-Vouch-*'],
    believedBy: 'workloads behind Vouch Proxy',
    source: 'https://github.com/vouch/vouch-proxy',
  },
  {
    family: 'mod_auth_openidc, Shibboleth',
    kind: 'user',
    fields: ['Oidc-*', 'Shib-*'],
    believedBy: 'workloads behind Apache with these modules',
    source: 'https://github.com/OpenIDC/mod_auth_openidc/wiki',
  },
  {
    family: 'IBM WebSEAL, WebSphere',
    kind: 'user',
    fields: ['Iv-*', '$WS*'],
    believedBy: 'WebSphere, which takes the user and the certificate from them',
    source: 'https://ibm.com/support/pages/setting-private-headers-websphere-proxy-server-level',
  },
  {
    family: 'Oracle WebLogic',
    kind: 'certificate',
    fields: ['Wl-Proxy-*', 'Proxy-Client-Ip', 'X-Weblogic-*'],
    believedBy: 'WebLogic with its plug-in enabled',
    source: 'https://www.ateam-oracle.com/wls-plugin-enabled',
  },
  {
    family: 'Client-Cert',
    kind: 'certificate',
    fields: ['Client-Cert*'],
    believedBy: 'servers that implement RFC 9440',
    source: 'https://www.rfc-editor.org/rfc/rfc9440',
  },
  {
    family: 'TLS terminators',
    kind: 'certificate',
    fields: [
      'Ssl-Client-*',
      'X-Ssl',
      'X-Ssl-*',
      'X-Client-Cert*',
      'X-Client-Dn',
      'X-Client-I-Dn',
      'X-Client-S-Dn',
      'X-Client-Verify*',
      'X-Mtls-*',
      'X-Tls-Client-*',
    ],
    believedBy: 'workloads behind nginx, Apache, HAProxy or a cloud’s load balancer that verifies clients',
    source: 'https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/',
  },
  {
    family: 'client addresses',
    kind: 'address',
    fields: [
      'Client-Ip',
      'Cloudfront-Viewer-Address',
      'Fastly-Client*',
      'Fly-Client-Ip',
      'True-Client-Ip',
      'X-Azure-Clientip',
      'X-Azure-Socketip',
      'X-Client-Ip',
      'X-Cluster-Client-Ip',
      'X-Nf-Client-Connection-Ip',
      'X-Originating-Ip',
      'X-Proxyuser-Ip',
      'X-Real-Ip',
      'X-Vercel-Forwarded-For',
    ],
    believedBy: 'allow lists, rate limits and logs of workloads',
    source: 'https://nginx.org/en/docs/http/ngx_http_realip_module.html',
  },
  {
    family: 'Envoy, Istio',
    kind: 'routing',
    fields: ['X-Envoy-*', 'X-Ext-Authz-*'],
    believedBy: 'Envoy as a sidecar of the workload: retries, timeouts, the original host and path',
    source: 'https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers',
  },
  {
    family: 'rewritten requests',
    kind: 'routing',
    fields: [
      'Disguised-Host',
      'X-Host',
      'X-Host-Override',
      'X-Http-Destinationurl',
      'X-Http-Host*',
      'X-Http-Path*',
      'X-Original-Forwarded-*',
      'X-Original-Host',
      'X-Original-Method',
      'X-Original-Path',
      'X-Original-Proto',
      'X-Original-Remote-*',
      'X-Original-Scheme',
      'X-Original-Uri',
      'X-Original-Url',
      'X-Override-Url',
      'X-Rewrite-*',
      'X-Script-Name',
      'X-Waws-Unencoded-Url',
    ],
    believedBy:
      'Symfony, Zend, IIS, WSGI middlewares: another path or host than the one that scopegate checked',
    source: 'https://symfony.com/blog/cve-2018-14773-remove-support-for-legacy-and-risky-http-headers',
  },
  {
    family: 'schemes',
    kind: 'routing',
    fields: ['Fastly-Ssl', 'Front-End-Https', 'X-Scheme', 'X-Url-Scheme'],
    believedBy: 'Rails, Django and WSGI middlewares: that the client used https',
    source: 'https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/',
  },
  {
    family: 'method override',
    kind: 'method',
    fields: ['X-Http-Method*', 'X-Method-Override'],
    believedBy: 'Rails, Express, Symfony, ASP.NET: another method than the one that scopegate checked',
    source: 'https://expressjs.com/en/resources/middleware/method-override.html',
  },
  {
    family: 'httpoxy',
    kind: 'framework',
    fields: ['Proxy'],
    believedBy: 'CGI programs, as HTTP_PROXY (CVE-2016-5385)',
    source: 'https://httpoxy.org/',
  },
  {
    family: 'Next.js',
    kind: 'framework',
    fields: ['X-Middleware-*', 'X-Invoke-*', 'X-Matched-Path', 'X-Now-Route-Matches'],
    believedBy: 'Next.js, which skipped its middleware for them (CVE-2025-29927)',
    source: 'https://github.com/advisories/GHSA-f82v-jwr5-mffw',
  },
];
