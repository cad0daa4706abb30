import t from 'tap';
import { createIdentityFilter, plainName } from '../../src/proxy/identity-headers.js';
import { IDENTITY_TABLE } from '../../src/proxy/identity-table.js';
import { apiRule, startTestGateway, type TestGateway } from '../gateway.js';
import { settingsFor } from '../settings.js';
import { ask as askStream, fields, startTlsGateway } from '../streams.js';
import { sendRaw } from '../wire.js';

const TRUSTING = { trustedProxies: ['127.0.0.0/8'] };
const RULES = apiRule('gate.example', [
  { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'no_auth' }] },
  {
    path: '/guarded',
    methods: ['GET'],
    accessStrategies: [{ handler: 'oauth2_introspection', config: { required_scope: ['read'] } }],
  },
  {
    path: '/stated',
    methods: ['GET'],
    accessStrategies: [{ handler: 'no_auth' }],
    mutators: [
      {
        handler: 'header',
        config: {
          headers: {
            'X-User': 'gateway',
            'Remote-User': 'gateway',
            'X-Remote-Group': 'gateway',
            'X-Webauth-User': 'gateway',
            'X-Custom': 'gateway',
            Proxy: 'gateway',
          },
        },
      },
    ],
  },
]);

/**
 * What the documentation of proxies, clouds and frameworks names, family by family: written down here once more, so that
 * the table is not held against itself.
 */
const DOCUMENTED: Readonly<Record<string, string>> = {
  Authelia: 'Remote-User Remote-Groups Remote-Name Remote-Email',
  CGI: 'Remote-Addr Remote-Host Remote-Ident',
  'Kubernetes authenticating proxy': 'X-Remote-User X-Remote-Uid X-Remote-Group X-Remote-Extra-Scopes',
  'Kubernetes impersonation': 'Impersonate-User Impersonate-Uid Impersonate-Group Impersonate-Extra-Dn',
  Kong: 'X-Consumer-ID X-Consumer-Custom-ID X-Consumer-Username X-Consumer-Groups X-Credential-Identifier X-Credential-Username X-Anonymous-Consumer X-Authenticated-Userid X-Authenticated-Scope X-Authenticated-Groups',
  Grafana: 'X-WEBAUTH-USER X-WEBAUTH-NAME X-WEBAUTH-EMAIL X-WEBAUTH-GROUPS X-WEBAUTH-ROLE',
  AWS: 'X-Amzn-Oidc-Identity X-Amzn-Oidc-Data X-Amzn-Oidc-Accesstoken X-Amzn-Mtls-Clientcert X-Amzn-Mtls-Clientcert-Subject',
  Google:
    'X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-Id X-Goog-IAP-JWT-Assertion X-Appengine-User-Email X-Appengine-Inbound-Appid X-Apigateway-Api-Userinfo X-Endpoint-API-UserInfo',
  Azure:
    'X-MS-CLIENT-PRINCIPAL X-MS-CLIENT-PRINCIPAL-ID X-MS-CLIENT-PRINCIPAL-NAME X-MS-CLIENT-PRINCIPAL-IDP X-MS-TOKEN-AAD-ACCESS-TOKEN X-MS-TOKEN-AAD-ID-TOKEN X-ARR-ClientCert X-Azure-ClientIP X-Azure-SocketIP',
  Cloudflare:
    'Cf-Access-Authenticated-User-Email Cf-Access-Jwt-Assertion Cf-Access-Client-Id Cf-Connecting-IP Cf-Connecting-IPv6 Cf-Pseudo-IPv4 Cf-Client-Cert-Sha256 Cf-Cert-Verified',
  'oauth2-proxy':
    'X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token',
  Pomerium: 'X-Pomerium-Jwt-Assertion X-Pomerium-Claim-Email X-Pomerium-Claim-Groups',
  Tailscale: 'Tailscale-User-Login Tailscale-User-Name Tailscale-User-Profile-Pic X-Tailscale-Tailnet',
  authentik: 'X-authentik-username X-authentik-groups X-authentik-email X-authentik-uid X-authentik-meta-app',
  Vouch: 'X-Vouch-User X-Vouch-Success X-Vouch-Idp-Claims-Groups',
  Apache: 'OIDC-Claim-Sub OIDC-Access-Token Shib-Session-ID Shib-Identity-Provider',
  IBM: 'iv-user iv-groups iv-creds $WSRU $WSCC $WSRA $WSIS',
  WebLogic: 'WL-Proxy-Client-IP WL-Proxy-Client-Cert WL-Proxy-SSL Proxy-Client-IP',
  certificates:
    'X-SSL X-SSL-Cert X-SSL-Client-Cert X-SSL-Client-Verify X-SSL-Client-Dn X-SSL-Client-S-Dn X-SSL-Client-CN X-SSL-Issuer Ssl-Client-Cert Ssl-Client-Verify Ssl-Client-Subject-Dn Ssl-Client-Issuer-Dn X-Client-Cert X-Client-Cert-Chain X-Client-Certificate X-Client-Verify X-Client-DN X-Client-S-DN X-Tls-Client-Cert X-Forwarded-Client-Cert X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info Client-Cert Client-Cert-Chain',
  addresses:
    'True-Client-IP X-Client-IP X-Cluster-Client-IP Client-IP Fastly-Client-IP Fly-Client-IP X-Real-IP X-Originating-IP X-Remote-IP X-Remote-Addr X-Original-Forwarded-For X-Forwarded X-Forward-For Forwarded-For X-Envoy-External-Address X-Appengine-User-IP X-ProxyUser-Ip X-Vercel-Forwarded-For X-Nf-Client-Connection-Ip Cloudfront-Viewer-Address',
  routing:
    'X-Original-URL X-Original-URI X-Original-Host X-Original-Method X-Rewrite-URL X-Rewrite-Uri X-Host X-Host-Override X-Forwarded-Server X-Forwarded-Scheme X-Forwarded-Ssl X-Forwarded-Uri X-Forwarded-Method X-HTTP-Host-Override X-Http-Path-Override X-Envoy-Original-Path X-Envoy-Original-Host X-Envoy-Internal X-Envoy-Decorator-Operation X-Envoy-Retry-On X-Ext-Authz-Check-Result X-Script-Name X-Scheme X-Url-Scheme Front-End-Https X-Override-URL Disguised-Host',
  methods: 'X-HTTP-Method X-HTTP-Method-Override X-Method-Override',
  frameworks:
    'Proxy X-Middleware-Subrequest X-Middleware-Rewrite X-Middleware-Next X-Invoke-Path X-Invoke-Status X-Matched-Path X-Now-Route-Matches',
  'names in common use':
    'X-User X-User-Id X-User-Name X-User-Email X-User-Groups X-User-Roles X-User-Claims X-Userinfo X-Username X-Email X-Groups X-Role X-Roles X-Scope X-Scopes X-Permissions X-Subject X-Sub X-Client-Id X-Id-Token X-Jwt-Payload X-Jwt-Assertion X-Jwt-Claims X-Token-Subject X-Token-Claims X-Token-Scopes X-Authenticated-User X-Auth-User X-Auth-Username X-Auth-Userid X-Auth-Email X-Auth-Groups X-Auth-Roles X-Auth-Subject X-Identity X-Identity-Status',
};

/** What clients send for themselves, however much it looks like one of those. */
const HONEST =
  'Accept Accept-Language Authorization Cache-Control Content-Type Cookie Idempotency-Key If-Match Origin Range Referer Sec-Fetch-Site User-Agent X-User-Agent X-Api-Key X-Auth-Token X-Access-Token X-Auth-Key X-Requested-With X-Csrf-Token X-Client-Version X-Client-Data X-Tenant-Id X-Request-Start X-Cloud-Trace-Context X-B3-Traceid Prefer Proximity Remote Shibboleth X-Userland X-Rolex X.Dotted'.split(
    ' ',
  );

const SPELLINGS: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.toLowerCase(),
  (name) => name.toUpperCase(),
  (name) => name.replaceAll('-', '_'),
  (name) => name.replaceAll('-', '.'),
  (name) => name.replace('-', '_'),
  (name) => name.replace('-', '~'),
];

/** The names that reach the upstream, of those that are sent. */
async function reaching(
  gate: TestGateway,
  names: readonly string[],
  path = '/open',
): Promise<readonly string[]> {
  const reached: string[] = [];
  for (let at = 0; at < names.length; at += 150) {
    gate.upstream.received.length = 0;
    const lines = names.slice(at, at + 150).map((name) => `${name}: client\r\n`);
    const bytes = `GET ${path} HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\n${lines.join('')}\r\n`;
    const { answers } = await sendRaw(gate.port, bytes.replace('authorization: client\r\n', ''));
    if (answers[0]?.status !== 200) throw new Error(`${answers[0]?.status}`);
    const { rawHeaders = [] } = gate.upstream.received[0] ?? {};
    for (let i = 0; i < rawHeaders.length; i += 2) {
      // Names go on in lower case.
      if (rawHeaders[i + 1]?.includes('client') === true) reached.push(rawHeaders[i] as string);
    }
  }
  return reached;
}

t.test('no field that upstreams take for a statement comes from a client, in no spelling', async (t) => {
  const names = Object.values(DOCUMENTED).flatMap((line) => line.split(' '));
  const invented = IDENTITY_TABLE.flatMap(({ fields }) =>
    fields.map((field) => field.replace('*', 'zz9-anything')),
  );
  const all = [...new Set([...names, ...invented].flatMap((name) => SPELLINGS.map((spell) => spell(name))))];
  for (const settings of [{}, TRUSTING]) {
    const gate = await startTestGateway(t, { rules: RULES, settings });
    // What a trusted proxy says here may pass.
    const sent = all.filter((name) => !/^(?:forwarded|x-forwarded-(?:port|prefix))$/i.test(name));
    for (const path of ['/open', '/guarded']) t.same(await reaching(gate, sent, path), [], path);
  }
  t.ok(names.length > 180, `${names.length} documented names`);
});

t.test('over HTTP/2 as well', async (t) => {
  const gate = await startTlsGateway(t, { rules: RULES });
  const session = await gate.session();
  const sent = Object.fromEntries(
    Object.values(DOCUMENTED)
      .flatMap((line) => line.toLowerCase().split(' '))
      .map((name) => [name, 'client']),
  );
  t.equal((await askStream(session, fields({ ...sent, ':path': '/open' }))).status, 200);
  t.notMatch(JSON.stringify(gate.upstream.received.at(-1)?.rawHeaders), /client"/);
});

t.test('what clients send for themselves passes', async (t) => {
  const gate = await startTestGateway(t, { rules: RULES });
  const names = HONEST.filter((name) => name !== 'Authorization');
  t.same([...(await reaching(gate, names))].sort(), names.map((name) => name.toLowerCase()).sort());
});

t.test('the table is one: no name twice, each family with its source, exceptions within it', (t) => {
  const seen = new Set<string>();
  for (const { family, fields, except = [], source, believedBy } of IDENTITY_TABLE) {
    t.match(source, /^https:\/\//, family);
    t.ok(believedBy.length > 5, family);
    for (const field of fields) {
      const lower = field.toLowerCase();
      t.notOk(seen.has(lower), `${field} stands once`);
      seen.add(lower);
    }
    for (const field of except) {
      t.ok(
        fields.some((each) => each.endsWith('*') && field.startsWith(each.slice(0, -1))),
        `${field} would be removed without its exception`,
      );
    }
  }
  // A name that a beginning holds anyway would only seem to say something.
  for (const name of seen) {
    const holders = [...seen].filter(
      (other) => other !== name && other.endsWith('*') && name.startsWith(other.slice(0, -1)),
    );
    t.same(holders, [], `${name} is held by nothing else`);
  }
  t.end();
});

t.test(
  'a trusted proxy passes on the port and the prefix that the client saw, and nobody else does',
  async (t) => {
    const names = ['X-Forwarded-Port', 'X-Forwarded-Prefix'];
    const trusting = await startTestGateway(t, { rules: RULES, settings: TRUSTING });
    t.same(await reaching(trusting, names), ['x-forwarded-port', 'x-forwarded-prefix']);
    t.same(await reaching(trusting, ['X_Forwarded_Port', 'X.Forwarded.Prefix']), []);
    const wary = await startTestGateway(t, { rules: RULES });
    t.same(await reaching(wary, names), []);
  },
);

t.test('what mutators state is sent, and the client’s copies are gone in every spelling', async (t) => {
  const gate = await startTestGateway(t, { rules: RULES });
  const names = ['X-User', 'Remote-User', 'X-Remote-Group', 'X-Webauth-User', 'X-Custom', 'Proxy'];
  const sent = [...new Set(names.flatMap((name) => SPELLINGS.map((spell) => spell(name))))];
  for (const path of ['/open', '/guarded', '/stated']) t.same(await reaching(gate, sent, path), [], path);
  const { headers } = gate.upstream.received.at(-1) ?? {};
  for (const name of names) t.equal(headers?.[name.toLowerCase()], 'gateway', name);
});

t.test('the settings add to the table and take from it, and are told of', async (t) => {
  const gate = await startTestGateway(t, {
    rules: RULES,
    settings: {
      forward: {
        identityFields: {
          remove: ['X-Acme-*', 'x-tenant', 'Acme*'],
          keep: ['X-Acme-Trace', 'X-Webauth-*', 'api_key', 'X-Rewrite-Url'],
        },
      },
    },
  });
  const passing = ['X-Acme-Trace', 'X-Webauth-Name', 'x-webauth-role', 'api_key', 'X-Rewrite-URL', 'X-Acme'];
  const gone = [
    ...['X-Acme-User', 'X_Acme_User', 'X.Acme.Trace', 'X-Tenant', 'x_tenant', 'Acmeology', 'Acme-Role'],
    ...['Api_Key2', 'X_Webauth_User', 'X-Rewrite-Uri', 'X-User', 'Remote-User', 'X-Forwarded-User'],
    // What mutators of any rule state, no client may, whatever the settings keep.
    'X-Webauth-User',
  ];
  t.same(
    await reaching(gate, [...passing, ...gone]),
    passing.map((name) => name.toLowerCase()),
  );
  t.match(
    gate.log.filter(({ msg }) => String(msg).startsWith('insecure')),
    [{ level: 40, setting: 'forward.identityFields.keep', fields: ['X-Acme-Trace'] }],
  );
  const plain = await startTestGateway(t, { rules: RULES });
  t.notMatch(JSON.stringify(plain.log), /identityFields/);
});

t.test('entries of the settings that could mean nothing are errors', (t) => {
  const problem = (identityFields: object) => {
    try {
      settingsFor(['r'], { forward: { identityFields } });
      return 'none';
    } catch (error) {
      return (error as Error).message;
    }
  };
  t.equal(problem({ remove: ['X-A', 'X-B*'], keep: ['X-C-*'] }), 'none');
  const name = /must be the name of a header field, or the beginning of one followed by \*$/;
  for (const bad of ['*', 'a b', 'X-*-A', 'X-A**', 'a:b', 'ü']) {
    t.match(problem({ remove: [bad] }), name, bad);
    t.match(problem({ keep: ['X-A', bad] }), /forward\.identityFields\.keep\.1 must be/, bad);
  }
  for (const own of ['Host', 'content-length', 'X-Forwarded-For', 'Via', 'Forwarded', 'x-request-id']) {
    t.match(problem({ keep: [own] }), /is a field that scopegate itself writes or reads; remove it$/, own);
    t.match(problem({ remove: [own] }), /is a field that scopegate itself/, own);
  }
  t.match(
    problem({ remove: ['X-A'], keep: ['x-a'] }),
    /keep\.0 is also in remove; delete one of the two entries$/,
  );
  t.end();
});

t.test('a name in any spelling is read as CGI reads it', (t) => {
  t.equal(plainName('x-user'), 'x-user');
  t.equal(plainName('x_user.id'), 'x-user-id');
  t.equal(plainName('$wsru'), '$wsru');
  const filter = createIdentityFilter({ remove: [], keep: [] });
  for (const name of ['accept', 'x', 'x-', '-', '']) t.equal(filter.judge(name).removed, false, name);
  // More names than verdicts are kept for.
  const many = Array.from({ length: 3_000 }, (_, i) => filter.judge(`remote-${i}`).removed);
  t.ok(many.every(Boolean));
  t.match(filter.judge('remote_user'), { plain: 'remote-user', removed: true });
  const usual = createIdentityFilter({ remove: [], keep: [] });
  t.equal(usual.judge('accept'), usual.judge('accept'), 'a usual name is judged once');
  t.end();
});
