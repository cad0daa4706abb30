import { X509Certificate } from 'node:crypto';
import { hostname } from 'node:os';
import fc from 'fast-check';
import t from 'tap';
import { alternativeNames, distinguishedName } from '../../../src/auth/mutators/certificate-names.js';
import { clientConnection } from '../../../src/auth/mutators/client-connection.js';
import { namesCertificate, parseEnvoyFormat } from '../../../src/auth/mutators/envoy-format.js';
import { renderText, TemplateError } from '../../../src/auth/mutators/template.js';
import { loadOptions } from '../../../src/commands/load.js';
import type { Session } from '../../../src/model/mutator.js';
import type { RequestContext, Services } from '../../../src/model/strategy.js';
import { clientAddressReader } from '../../../src/parse/client-address.js';
import type { Peer } from '../../../src/parse/peer.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { arrival, noServices } from '../../decision.js';
import { startTestGateway } from '../../gateway.js';
import { settingsFor } from '../../settings.js';
import { makeCertificate } from '../../stack/certificate.js';

const HEADERS = { 'X-Id': 'one', 'X-Forwarded-For': '198.51.100.4, 192.0.2.9', 'X-Forwarded-Proto': 'https' };
const STRANGER: Peer = { address: '203.0.113.5', port: 50_000, secure: false, trusted: false };
const PROXY: Peer = { address: '192.0.2.1', port: 443, secure: false, trusted: true };

/** An APIRule in v2 that is open, and sets these fields and cookies of requests. */
const openRule = (request: object) => ({
  apiVersion: 'gateway.kyma-project.io/v2',
  kind: 'APIRule',
  metadata: { name: 'a', namespace: 'default' },
  spec: {
    gateway: 'a/b',
    hosts: ['gate.example'],
    service: { name: 'upstream', port: 80 },
    rules: [{ path: '/*', methods: ['GET'], noAuth: true, request }],
  },
});

/** A session of one request. */
function session(peer?: Peer, more: Partial<RequestContext> = {}): Session {
  const { target, fields } = arrival('/a/b?c=d', HEADERS);
  const services: Services = {
    ...noServices,
    now: () => Date.parse('2026-04-05T06:07:08.900Z') / 1000,
    clientAddress: clientAddressReader(['192.0.2.0/24']),
  };
  const client = clientConnection(
    { method: 'GET', target, fields, peer, requestId: 'r1', ...more },
    services,
  );
  return {
    subject: '',
    extra: {},
    match: {
      method: 'GET',
      host: target.host,
      path: target.path,
      query: target.query,
      rawHeaders: fields.raw,
      pattern: /^(?:\/.*)$/,
      ...(client === undefined ? {} : { client }),
    },
    headers: new Map(),
    cookies: new Map(),
  };
}

const render = (text: string, of: Session = session(STRANGER)) => renderText(parseEnvoyFormat(text), of);

t.test('what Envoy replaces is replaced, everything else stays', (t) => {
  for (const [text, expected] of [
    ['plain', 'plain'],
    ['', ''],
    ['100%% %%REQ(X-Id)%%', '100% %REQ(X-Id)%'],
    ['a %REQ(X-Id)% b%REQ(x-id)%', 'a one bone'],
    ['%REQ(X-None)%', ''],
    ['%REQ(X-None?X-Id)%', 'one'],
    ['%REQ(X-Id?X-None):2%', 'on'],
    ['%REQUEST_HEADER(X-Id):0%', ''],
    ['%REQ(:METHOD)% %REQ(:path)% %REQ(:AUTHORITY)% %REQ(:scheme)%', 'GET /a/b?c=d gate.example http'],
    ['%PATH(NQ)% %PATH(WQ)% %PATH%', '/a/b /a/b?c=d /a/b?c=d'],
    ['%PATH(NQ:PATH)% %PATH(WQ:ORIG_OR_PATH)% %PATH():4%', '/a/b /a/b?c=d /a/b'],
    ['%REQ(X-Was-Forwarded)%%REQ(Forwarded-For-Me?X-Id)%', 'one'],
    ['%REQ(X-Forwarded-Host)% %REQ(X-Id)%%REQ(X-Id)%', 'gate.example oneone'],
    ['%PROTOCOL%', 'HTTP/1.1'],
    ['%HOSTNAME%', hostname()],
    ['%START_TIME%', '2026-04-05T06:07:08.900Z'],
    ['%START_TIME(%s.%3f)%', `${Date.parse('2026-04-05T06:07:08Z') / 1000}.900`],
    ['%START_TIME(%Y/%m/%dT%H:%M:%S%z %f %1f)%', '2026/04/05T06:07:08+0000 900000000 9'],
    [
      '%START_TIME(%a %A %b %B %e %j %y %D %F %T %Z 100%%)%',
      'Sun Sunday Apr April  5 095 26 04/05/26 2026-04-05 06:07:08 UTC 100%',
    ],
    ['%DOWNSTREAM_REMOTE_ADDRESS%', '203.0.113.5:50000'],
    ['%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%', '203.0.113.5 50000'],
    ['%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT%', '203.0.113.5 50000'],
    ['%DOWNSTREAM_PEER_SUBJECT%%DOWNSTREAM_TLS_VERSION%%DOWNSTREAM_PEER_CERT_V_END%', ''],
    ['%DOWNSTREAM_TLS_CIPHER%%DOWNSTREAM_PEER_CERT%%DOWNSTREAM_PEER_CERT_V_START%', ''],
  ] as const) {
    t.equal(render(text), expected, text);
  }
  t.equal(render('%DOWNSTREAM_REMOTE_ADDRESS%', session({ ...STRANGER, address: '::1' })), '[::1]:50000');
  const tls = { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', serverName: 'gate.example' };
  const secure = session({ ...STRANGER, secure: true, tls });
  t.equal(
    render('%REQ(:scheme)% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %REQUESTED_SERVER_NAME%', secure),
    'https TLSv1.3 TLS_AES_128_GCM_SHA256 gate.example',
  );
  const version = (version: string | undefined) => {
    const { fields } = arrival('/');
    return render('%PROTOCOL%', session(STRANGER, { fields: { ...fields, version } as typeof fields }));
  };
  t.same(['2.0', '1.0', undefined].map(version), ['HTTP/2', 'HTTP/1.0', '']);
  t.end();
});

t.test('a client on a Unix socket has no address and no port', (t) => {
  const local = session({ address: '', secure: false, trusted: false });
  t.equal(render('%DOWNSTREAM_REMOTE_ADDRESS%%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%', local), '');
  t.equal(render('%DOWNSTREAM_REMOTE_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT%', local), '0 0');
  const gone = session({ address: '203.0.113.5', secure: false, trusted: false });
  t.equal(render('%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%', gone), '203.0.113.5:0');
  t.end();
});

t.test('what a client writes into the fields of proxies is never told', (t) => {
  const said = (peer: Peer, text: string) => render(text, session(peer));
  t.equal(said(STRANGER, '%REQ(X-Forwarded-For)%'), '203.0.113.5');
  t.equal(said(PROXY, '%REQ(X-Forwarded-For)%'), '198.51.100.4, 192.0.2.9, 192.0.2.1');
  t.equal(said(STRANGER, '%REQ(x-envoy-external-address)%'), '203.0.113.5');
  t.equal(said(PROXY, '%REQ(X-Envoy-External-Address)%'), '198.51.100.4');
  t.equal(said(PROXY, '%DOWNSTREAM_REMOTE_ADDRESS%'), '198.51.100.4:0', 'its port is not known');
  t.equal(said(PROXY, '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%'), '192.0.2.1:443');
  t.equal(said(STRANGER, '%REQ(X-Forwarded-Proto)% %REQ(X-Request-Id)%'), 'http r1');
  t.equal(said(PROXY, '%REQ(X-Forwarded-Proto)%'), 'https');
  t.end();
});

t.test('where a proxy asks, what only its own connection with the client has is empty', (t) => {
  const described = session(
    { ...PROXY, tls: { version: 'TLSv1.3', cipher: 'x', serverName: 'y' } },
    { scheme: 'https' },
  );
  t.equal(render('%PROTOCOL%%DOWNSTREAM_TLS_VERSION%%REQUESTED_SERVER_NAME%', described), '');
  t.equal(render('%REQ(:SCHEME)%', described), 'https');
  const other = session(PROXY, { scheme: 'http' });
  t.equal(render('%REQ(:SCHEME)%', other), 'http', 'of the described request, not of the call');
  t.equal(render('a%DOWNSTREAM_REMOTE_ADDRESS%%START_TIME%', session()), 'a', 'nobody sent it');
  t.equal(
    render(
      '%REQ(X-Forwarded-For)%%REQ(X-Forwarded-Proto)%%REQ(X-Request-Id)%%DOWNSTREAM_PEER_CERT%',
      session(),
    ),
    '',
  );
  t.end();
});

t.test('a command that is not served says what to write', (t) => {
  for (const [text, problem] of [
    [
      '%DOWNSTREAM_PEER_SUBJECTS%',
      /^%DOWNSTREAM_PEER_SUBJECTS% is a command .* did you mean %DOWNSTREAM_PEER_SUBJECT%\?/,
    ],
    ['%RESP(X)%', /nobody knows it before the request is sent\. Remove it/],
    ['%UPSTREAM_HOST%', /nobody knows it/],
    ['%DYNAMIC_METADATA(a:b)%', /only filters of Envoy set it/],
    ['%ENVIRONMENT(HOME)%', /secrets/],
    ['%QQQQQQQ%', /^%QQQQQQQ% is a command of Envoy that is not served\. Remove it/],
    ['%MY_RESP%%MY_METADATA%', /^%MY_RESP% is a command of Envoy that is not served\. Remove it/],
    ['%MY_METADATA%', /^%MY_METADATA% is a command of Envoy that is not served\. Remove it/],
    ['%MY_ENVIRONMENT%', /^%MY_ENVIRONMENT% is a command of Envoy that is not served\. Remove it/],
    ['%toString%', /^a % alone is no command of Envoy: write %%/],
    ['%CONSTRUCTOR%', /that is not served/],
    ['100%', /^a % alone is no command of Envoy: write %%/],
    ['5% of %protocol%', /^a % alone is no command of Envoy: write %%/],
    ['%protocol%', /write %PROTOCOL%, or %% for/],
    ['%REQ(X"}})%', /is not the name of a header field/],
    ['%REQ()%', /^%REQ\(\)%: it needs the name/],
    ['%REQ%', /^%REQ%: it needs the name/],
    ['%REQ(?X-Id)%', /needs the name/],
    ['%REQ(X-Id?)%', /is not the name of a header field/],
    ['%REQ(A?B?C)%', /write REQ\(NAME\) or REQ\(NAME\?OTHER\)/],
    ['%REQ(X-Real-Ip)%', /a client can write anything into X-Real-Ip/],
    ['%REQ(X-Id?Client-Cert)%', /a client can write anything into Client-Cert/],
    ['%PROTOCOL(X)%', /takes no argument/],
    ['%PROTOCOL:3%', /takes no length; write %PROTOCOL%/],
    ...['X', 'XNQ', 'NQX', 'NQ:X', 'NQ:XPATH', 'NQ:PATHX'].map(
      (argument) => [`%PATH(${argument})%`, /write %PATH\(NQ\)%/] as const,
    ),
    ['%REQ(Forwarded)%', /a client can write anything into Forwarded/],
    ['%REQ(X-Forwarded-Port)%', /a client can write anything into X-Forwarded-Port/],
    ['%REQ(X-Envoy-Peer-Metadata)%', /a client can write anything into X-Envoy-Peer-Metadata/],
    ['%START_TIME(%Q)%', /%Q is not supported in a date/],
    ['%START_TIME(%)%', /% is not supported in a date/],
    ['{{ .Subject }}', /without \{\{/],
  ] as const) {
    t.throws(() => parseEnvoyFormat(text), { name: 'TemplateError', message: problem }, text);
  }
  t.end();
});

t.test(
  'the client’s certificate is read once for a request, and only where possession is verified',
  async (t) => {
    const certificate = new X509Certificate((await makeCertificate(['client.example'])).cert);
    let reads = 0;
    const read = () => {
      reads++;
      return certificate;
    };
    const possession = { certificate: read } as unknown as Services['possession'];
    const { target, fields } = arrival('/');
    const of = (services: Services) =>
      clientConnection({ method: 'GET', target, fields, peer: STRANGER }, services);
    const connection = of({ ...noServices, possession } as Services);
    t.equal(connection?.certificate, certificate);
    t.equal(connection?.certificate, certificate);
    t.equal(reads, 1);
    t.equal(of(noServices)?.certificate, undefined);
    t.equal(of(noServices)?.address, STRANGER.address, 'without trusted proxies the client is the peer');
    t.end();
  },
);

t.test('names of a certificate are told as Envoy does, and no name can be read as two', (t) => {
  for (const [text, expected] of [
    [undefined, ''],
    ['', ''],
    ['C=DE\nO=Example\\, Inc.\nCN=alice', 'CN=alice,O=Example\\, Inc.,C=DE'],
    ['CN=alice + UID=7\n', 'UID=7+CN=alice'],
    ['CN=aé', 'CN=a\\C3\\A9'],
    ['CN=\u007fé b', 'CN=\\7F\\C3\\A9 b'],
    ['CN=a~', 'CN=a~'],
  ] as const)
    t.equal(distinguishedName(text), expected, `${text}`);
  const names = (subjectAltName: string | undefined, kind: Parameters<typeof alternativeNames>[1]) =>
    alternativeNames({ subjectAltName } as X509Certificate, kind);
  const all =
    'DNS:a.example, URI:spiffe://x/y, DNS:"b, DNS:admin", email:c@d, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1, IP Address:<invalid>';
  t.equal(names(all, 'DNS'), 'a.example,b%2C DNS:admin');
  t.equal(names(all, 'URI'), 'spiffe://x/y');
  t.equal(names(all, 'email'), 'c@d');
  t.equal(names(all, 'IP Address'), '192.0.2.1,2001:db8::1,<invalid>');
  t.equal(names('IP Address:1:2', 'IP Address'), '1:2', 'what is no address stays as it is');
  t.equal(names('DNS:"a\\"b", DNS:c', 'DNS'), 'a"b,c');
  for (const text of [undefined, '', 'DNS:a, x', 'DNS:a,DNS:b', 'DNS:a"b', ', DNS:a', 'x DNS', '"DNS:a"'])
    t.equal(names(text, 'DNS'), '', `${text}`);
  t.end();
});

t.test('any text is read or refused, and nothing in it is replaced by chance', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'%%%(REQ:)X-?a1{ ') }), (text) => {
      let read: string;
      try {
        read = render(text);
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        return;
      }
      if (!text.includes('%')) t.equal(read, text);
    }),
  );
  t.ok(namesCertificate('a %DOWNSTREAM_PEER_CERT%') && !namesCertificate('%REQ(X)%'));
  t.end();
});

t.test('a field whose value is empty is not sent, and the client’s copy neither', async (t) => {
  const headers = { 'X-Team': '%REQ(X-Asked)%', 'X-Static': '', 'X-Two': '-%REQ(X-Asked)%' };
  const gate = await startTestGateway(t, {
    rules: JSON.stringify(openRule({ headers, cookies: { asked: '%REQ(X-Asked)%' } })),
  });
  const own = { 'x-team': 'root', 'x-static': 'mine', 'x-two': 'x', cookie: 'asked=root; b=1' };
  t.equal((await ask(gate, '/a', { headers: own })).status, 200);
  t.equal((await ask(gate, '/a', { headers: { ...own, 'x-asked': 'blue' } })).status, 200);
  const [first, second] = gate.upstream.received.map(({ headers }) => headers);
  t.match(first, { 'x-two': '-', cookie: 'b=1; asked=' });
  t.notOk('x-team' in (first ?? {}) || 'x-static' in (first ?? {}));
  t.match(second, { 'x-team': 'blue', 'x-two': '-blue', cookie: 'b=1; asked=blue' });
});

t.test('a value that no cookie can hold is told when rules are loaded', (t) => {
  const found = (cookies: Readonly<Record<string, string>>, headers = {}) => {
    const rules = t.testdir({
      'r.json': JSON.stringify(openRule({ headers, cookies }), null, 1),
    });
    const options = loadOptions(settingsFor([rules], { proof: { certificateField: 'client-cert' } }), 1);
    return loadRules([rules], options).findings.map(
      ({ line, level, code, message }) => `${line} ${level} ${code} ${message}`,
    );
  };
  for (const [value, what] of [
    ['a,b', /the value holds ",", which a cookie cannot \(RFC 6265 section 4\.1\.1\): write it without/],
    ['a"b', /holds "\\""/],
    ['%REQ(X-Id)%; x=1', /holds ";"/],
    ['a\\b', /holds "\\\\"/],
    ['a\nb', /holds "\\n"/],
    ['%START_TIME(%a, %d)%', /%START_TIME\(%a, %d\)% always holds .*: write it without/],
    ['%DOWNSTREAM_PEER_CERT_V_END(%d;%m)%', /always holds/],
  ] as const) {
    const lines = found({ good: 'x', told: value });
    t.equal(lines.length, 1, value);
    t.match(lines[0], /^\d\d error invalid-value .*request\.cookies\.told: /, value);
    t.match(lines[0], what, value);
  }
  const doubtful =
    /^\d\d warning cookie-value .*request\.cookies\.told: %.*% can hold .*request gets 500.*request\.headers/;
  for (const value of [
    '%REQ(X-Id)%',
    '%REQ(X-Id):3%',
    'a%REQUEST_HEADER(X-Request-Id?X-Id)%',
    '%REQ(:PATH)%',
    '%REQ(X-Forwarded-For)%',
    '%PATH%',
    ...['SUBJECT', 'ISSUER', 'URI_SAN', 'DNS_SAN', 'EMAIL_SAN', 'IP_SAN'].map(
      (name) => `%DOWNSTREAM_PEER_${name}%`,
    ),
  ]) {
    const lines = found({ good: 'x', told: value });
    t.equal(lines.length, 1, value);
    t.match(lines[0], doubtful, value);
  }
  for (const value of [
    ...['', 'plain text', '50%%', '%REQ(:METHOD)% %REQ(:authority)%%REQ(:SCHEME)%%REQ(X-Request-Id)%'],
    ...['%REQ(X-Forwarded-Proto?X-Forwarded-Host)%', '%PROTOCOL%', '%HOSTNAME%', '%START_TIME%'],
    ...['%START_TIME(%A %F %T %z)%', '%REQUESTED_SERVER_NAME%', '%DOWNSTREAM_REMOTE_ADDRESS%'],
    ...['%DOWNSTREAM_PEER_SERIAL%', '%DOWNSTREAM_PEER_FINGERPRINT_256%', '%DOWNSTREAM_PEER_CERT%'],
  ]) {
    t.same(found({ told: value }), [], value);
  }
  t.same(found({}, { 'X-A': 'a,b;"c"\\', 'X-B': '%DOWNSTREAM_PEER_SUBJECT%' }), [], 'header fields can');
  t.match(found({}, { 'X-A': 'a\r\nX-B: c' }), [/error invalid-value .*X-A holds a control character/]);
  t.end();
});

t.test('a cookie value of a request that would end the cookie never goes on', async (t) => {
  const gate = await startTestGateway(t, {
    rules: JSON.stringify(
      openRule({ cookies: { asked: '%REQ(X-Asked)%', at: '%START_TIME%', cert: '%DOWNSTREAM_PEER_CERT%' } }),
    ),
  });
  for (const asked of ['a; admin=1', 'a, admin=1', 'a"', 'a\\']) {
    t.equal((await ask(gate, '/a', { headers: { 'x-asked': asked } })).status, 500, asked);
  }
  t.equal(gate.upstream.received.length, 0);
  t.equal((await ask(gate, '/a', { headers: { 'x-asked': 'a=b' } })).status, 200);
});
