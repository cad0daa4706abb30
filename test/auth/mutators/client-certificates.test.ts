import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { request as overTls } from 'node:https';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { Agent, request } from 'undici';
import { loadOptions } from '../../../src/commands/load.js';
import { loadRules } from '../../../src/rules/load.js';
import { ask } from '../../ask.js';
import { type ClientCertificate, makeClientAuthority } from '../../client-certificate.js';
import { startTestApp } from '../../fastify/app.js';
import { startTestGateway, type TestGateway } from '../../gateway.js';
import { settingsFor } from '../../settings.js';
import { makeCertificate } from '../../stack/certificate.js';

const authority = await makeClientAuthority([{ O: ['Example, Inc.'] }, { CN: ['clients'] }]);
const strangers = await makeClientAuthority([{ CN: ['strangers'] }]);
const [server, alice, impostor] = await Promise.all([
  makeCertificate(['gate.example']),
  authority.issue(
    [{ C: ['DE'] }, { O: ['Example, Inc.'] }, { CN: ['alice'] }],
    [
      { type: 'url', value: 'spiffe://example/ns/a/sa/alice' },
      { type: 'dns', value: 'alice.example' },
      { type: 'url', value: 'https://alice.example/' },
      { type: 'dns', value: '*.alice.example' },
      { type: 'email', value: 'alice@example.com' },
      { type: 'ip', value: '192.0.2.7' },
      { type: 'ip', value: '2001:db8::1' },
    ],
  ),
  strangers.issue([{ CN: ['admin'] }]),
]);

const HEADERS = {
  'X-CN': '%DOWNSTREAM_PEER_SUBJECT%',
  'X-Issuer': '%DOWNSTREAM_PEER_ISSUER%',
  'X-URI': '%DOWNSTREAM_PEER_URI_SAN%',
  'X-DNS': 'dns=%DOWNSTREAM_PEER_DNS_SAN%',
};

const rulesWith = (headers: object, cookies?: object): string =>
  JSON.stringify({
    apiVersion: 'gateway.kyma-project.io/v2',
    kind: 'APIRule',
    metadata: { name: 'mtls', namespace: 'default' },
    spec: {
      gateway: 'default/mtls',
      hosts: ['gate.example'],
      service: { name: 'upstream', port: 80 },
      rules: [
        { path: '/*', methods: ['GET'], noAuth: true, request: { headers, ...(cookies && { cookies }) } },
      ],
    },
  });

const folder = t.testdir({ 's.crt': server.cert, 's.key': server.key, 'ca.crt': authority.ca });

/** The files of a listener that verifies clients, or does not. */
function tlsOf(clientCertificates: string): object {
  const verifies = /required|optional/.test(clientCertificates);
  return {
    cert: join(folder, 's.crt'),
    key: join(folder, 's.key'),
    clientCertificates,
    ...(verifies ? { clientCa: join(folder, 'ca.crt') } : {}),
  };
}

function startTls(t: Test, clientCertificates: string, headers: object = HEADERS): Promise<TestGateway> {
  return startTestGateway(t, {
    rules: rulesWith(headers),
    settings: { listen: { proxy: { tls: tlsOf(clientCertificates) } } },
  });
}

/** One request on a TLS connection of its own. @returns its status */
async function askOverTls(
  t: Test,
  gate: { readonly url: string },
  certificate: ClientCertificate | undefined,
  headers: Record<string, string> = {},
  allowH2 = false,
): Promise<number> {
  const agent = new Agent({
    allowH2,
    connect: { ...certificate, ca: server.ca, servername: 'gate.example' },
  });
  t.teardown(() => agent.close());
  const answer = await request(`${gate.url}/a`, {
    dispatcher: agent,
    headers: { host: 'gate.example', ...headers },
  });
  await answer.body.dump();
  return answer.statusCode;
}

const OWN_COPIES = { 'x-cn': 'CN=admin', 'x-issuer': 'CN=root', 'x-uri': 'spiffe://admin', x_cn: 'CN=admin' };

t.test('the upstream is told whose certificate the client has shown', async (t) => {
  const certificate = new X509Certificate(alice.cert);
  const hex = (text: string) => text.replaceAll(':', '').toLowerCase();
  const gate = await startTls(t, 'required', {
    ...HEADERS,
    'X-Email': '%DOWNSTREAM_PEER_EMAIL_SAN%',
    'X-IP': '%DOWNSTREAM_PEER_IP_SAN%',
    'X-Serial': '%DOWNSTREAM_PEER_SERIAL%',
    'X-256': '%DOWNSTREAM_PEER_FINGERPRINT_256%',
    'X-1': '%DOWNSTREAM_PEER_FINGERPRINT_1%',
    'X-Cert': '%DOWNSTREAM_PEER_CERT%',
    'X-From': '%DOWNSTREAM_PEER_CERT_V_START%',
    'X-Until': '%DOWNSTREAM_PEER_CERT_V_END(%b %e %Y)%',
    'X-TLS': '%DOWNSTREAM_TLS_VERSION% %REQUESTED_SERVER_NAME% %PROTOCOL%',
  });
  const expected = {
    'x-cn': 'CN=alice,O=Example\\, Inc.,C=DE',
    'x-issuer': 'CN=clients,O=Example\\, Inc.',
    'x-uri': 'spiffe://example/ns/a/sa/alice,https://alice.example/',
    'x-dns': 'dns=alice.example,*.alice.example',
    'x-email': 'alice@example.com',
    'x-ip': '192.0.2.7,2001:db8::1',
    'x-serial': '0ab1',
    'x-256': hex(certificate.fingerprint256),
    'x-1': hex(certificate.fingerprint),
    'x-from': '2018-12-18T01:50:34.000Z',
    'x-until': 'Jan  1 2100',
  };
  t.equal(await askOverTls(t, gate, alice, OWN_COPIES), 200);
  t.equal(await askOverTls(t, gate, alice, {}, true), 200);
  for (const [index, protocol] of ['HTTP/1.1', 'HTTP/2'].entries()) {
    const { headers } = gate.upstream.received[index] as { headers: Record<string, string> };
    t.match(headers, expected, protocol);
    t.equal(headers['x-tls'], `TLSv1.3 gate.example ${protocol}`);
    t.equal(headers.x_cn, undefined);
    t.equal(
      new X509Certificate(decodeURIComponent(headers['x-cert'] as string)).fingerprint256,
      certificate.fingerprint256,
    );
    t.notMatch(headers['x-cert'], /[\n +/=]/, 'percent-encoded');
  }
});

t.test(
  'without a certificate that an authority has signed nothing is said, whatever the client says',
  async (t) => {
    const optional = await startTls(t, 'optional');
    t.equal(await askOverTls(t, optional, undefined, OWN_COPIES), 200);
    const unverified = await startTls(t, 'unverified');
    t.equal(await askOverTls(t, unverified, impostor, OWN_COPIES), 200);
    t.equal(await askOverTls(t, unverified, alice), 200);
    const none = await startTls(t, 'none');
    t.equal(await askOverTls(t, none, alice, OWN_COPIES), 200);
    const plain = await startTestGateway(t, { rules: rulesWith(HEADERS) });
    t.equal((await ask(plain, '/a', { headers: OWN_COPIES })).status, 200);
    for (const gate of [optional, unverified, none, plain]) {
      for (const { headers } of gate.upstream.received) {
        for (const name of ['x-cn', 'x-issuer', 'x-uri'])
          t.notOk(name in headers, `${name}: ${headers[name]}`);
        t.equal(headers['x-dns'], 'dns=');
      }
    }
    await t.rejects(askOverTls(t, optional, impostor), 'one of another authority is refused');
  },
);

t.test('a resumed connection says the same', async (t) => {
  const gate = await startTls(t, 'required');
  const options = { host: '127.0.0.1', port: gate.port, ca: server.ca, servername: 'gate.example', ...alice };
  const ticket = (socket: TLSSocket) => once(socket, 'session').then(([session]) => session as Buffer);
  const exchange = async (socket: TLSSocket): Promise<void> => {
    socket.write('GET /a HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n');
    socket.resume();
    await once(socket, 'close');
  };
  const first = connect(options);
  const session = ticket(first);
  await exchange(first);
  const second = connect({ ...options, session: await session });
  await once(second, 'secureConnect');
  t.ok(second.isSessionReused(), 'resumed');
  await exchange(second);
  t.equal(gate.upstream.received.length, 2);
  for (const { headers } of gate.upstream.received) t.match(headers['x-cn'], /^CN=alice,/);
});

t.test(
  'what a certificate says cannot break a header field, nor pretend to be more than one name',
  async (t) => {
    const gate = await startTls(t, 'required');
    const ask = async (
      subject: Parameters<typeof authority.issue>[0],
      names?: Parameters<typeof authority.issue>[1],
    ) => {
      const before = gate.upstream.received.length;
      const status = await askOverTls(t, gate, await authority.issue(subject, names));
      return { status, headers: gate.upstream.received.slice(before)[0]?.headers ?? {} };
    };
    const odd = await ask(
      [
        { CN: ['a\r\nX-Admin: yes'] },
        { O: ['J\u00f6 \u4e2d'] },
        { OU: ['x, CN=admin + O=y'] },
        { L: [' # '], ST: ['"<>;\\'] },
      ],
      [
        { type: 'url', value: 'spiffe://a/b,spiffe://admin' },
        { type: 'url', value: 'urn:x, URI:spiffe://root' },
        { type: 'dns', value: 'a.example, DNS:b.example' },
      ],
    );
    t.equal(odd.status, 200);
    t.equal(odd.headers['x-admin'], undefined);
    const subject = odd.headers['x-cn'] as string;
    t.match(subject, /,O=J\\C3\\B6 \\E4\\B8\\AD,CN=a\\0D\\0AX-Admin: yes$/);
    t.ok(subject.includes('OU=x\\, CN=admin \\+ O=y,'), subject);
    t.match(subject, /^(ST=\\"\\<\\>\\;\\\\\+L=\\ #\\ |L=\\ #\\ \+ST=\\"\\<\\>\\;\\\\),OU=/);
    t.equal(odd.headers['x-uri'], 'spiffe://a/b%2Cspiffe://admin,urn:x%2C URI:spiffe://root');
    t.equal(odd.headers['x-dns'], 'dns=a.example%2C DNS:b.example');

    const broken = await ask([{ CN: ['a'] }], [{ type: 'url', value: 'urn:a\r\nX-Admin: yes' }]);
    t.equal(broken.status, 500, 'a control character in an alternative name');
    t.same(broken.headers, {}, 'nothing is forwarded');

    const nameless = await ask([], [{ type: 'dns', value: 'only.example' }]);
    t.equal(nameless.status, 200);
    t.notOk('x-cn' in nameless.headers);
    t.equal(nameless.headers['x-dns'], 'dns=only.example');
  },
);

t.test('a proxy that ends TLS passes the certificate on, in the field of the settings alone', async (t) => {
  const { raw, fingerprint256 } = new X509Certificate(alice.cert);
  const hash = fingerprint256.replaceAll(':', '');
  const escaped = encodeURIComponent(alice.cert);
  const start = (trustedProxies: readonly string[], certificateField: string) =>
    startTestGateway(t, {
      rules: rulesWith(HEADERS),
      settings: { trustedProxies, proof: { certificateField } },
    });
  const told = async (gate: TestGateway, headers: Record<string, string>) => {
    t.equal((await ask(gate, '/a', { headers: { ...OWN_COPIES, ...headers } })).status, 200);
    return gate.upstream.received.at(-1)?.headers['x-cn'];
  };
  const subject = 'CN=alice,O=Example\\, Inc.,C=DE';
  const byIstio = await start(['127.0.0.1/32'], 'x-forwarded-client-cert');
  for (const [value, expected] of [
    [`Hash=${hash};Cert="${escaped}";Subject="CN=admin";URI=spiffe://admin`, subject],
    [`By=spiffe://a;Cert="${escaped}"`, subject],
    [`Hash=${hash};Subject="CN=alice"`, undefined],
    [`Hash=${'0'.repeat(64)};Cert="${escaped}"`, undefined],
    [`Hash=${hash};Cert="${escaped}",Hash=${hash};Cert="${escaped}"`, undefined],
    ['Subject="CN=admin"', undefined],
  ] as const) {
    t.equal(await told(byIstio, { 'x-forwarded-client-cert': value }), expected, value.slice(0, 40));
  }
  const standard = { 'client-cert': `:${raw.toString('base64')}:` };
  t.equal(await told(await start(['127.0.0.1/32'], 'client-cert'), standard), subject);
  t.equal(
    await told(await start(['127.0.0.1/32'], 'x-ssl-client-cert'), standard),
    undefined,
    'another field',
  );
  t.equal(await told(await start(['192.0.2.0/24'], 'client-cert'), standard), undefined, 'a stranger');
});

t.test('the certificate of a trusted proxy is not that of its client', async (t) => {
  const gate = await startTestGateway(t, {
    rules: rulesWith(HEADERS),
    settings: { trustedProxies: ['127.0.0.1/32'], listen: { proxy: { tls: tlsOf('required') } } },
  });
  t.equal(await askOverTls(t, gate, alice), 200);
  t.notOk('x-cn' in (gate.upstream.received[0]?.headers ?? {}));
});

t.test('a proxy that asks for a decision is told the same, or to send nothing of it', async (t) => {
  const gate = await startTestGateway(t, {
    rules: rulesWith(HEADERS),
    settings: { proof: { certificateField: 'x-ssl-client-cert' }, trustedProxies: ['127.0.0.1/32'] },
  });
  const decide = (headers: Record<string, string>) =>
    ask({ url: gate.adminUrl }, '/decisions', {
      headers: {
        'x-forwarded-method': 'GET',
        'x-forwarded-host': 'gate.example',
        'x-forwarded-uri': '/a',
        ...OWN_COPIES,
        ...headers,
      },
    });
  const known = await decide({ 'x-ssl-client-cert': encodeURIComponent(alice.cert) });
  t.match(known.headers, { 'x-cn': 'CN=alice,O=Example\\, Inc.,C=DE' });
  const unknown = await decide({});
  t.equal(unknown.status, 200);
  t.match(unknown.headers, { 'x-cn': '', 'x-issuer': '', 'x-uri': '' });
});

t.test('an application with the plugin verifies certificates itself', async (t) => {
  for (const [ca, status, subject] of [
    [authority.ca, 200, /^CN=alice,/],
    [strangers.ca, 200, undefined],
  ] as const) {
    const app = await startTestApp(t, {
      rules: rulesWith(HEADERS),
      server: {
        https: { cert: server.cert, key: server.key, requestCert: true, rejectUnauthorized: false, ca },
      } as object,
      upstreams: true,
    });
    const sent = overTls({
      host: '127.0.0.1',
      port: app.port,
      path: '/a',
      ca: server.ca,
      servername: 'gate.example',
      headers: { host: 'gate.example', ...OWN_COPIES },
      agent: false,
      ...alice,
    }).end();
    const [answer] = await once(sent, 'response');
    answer.resume();
    t.equal(answer.statusCode, status);
    const seen = app.upstream.received.at(-1)?.headers['x-cn'];
    if (subject === undefined) t.equal(seen, undefined);
    else t.match(seen, subject);
  }
});

t.test('check warns of a header about certificates that never come here', (t) => {
  const rules = t.testdir({ 'r.yaml': rulesWith(HEADERS, { who: '%DOWNSTREAM_PEER_SERIAL%' }) });
  const found = (settings: Readonly<Record<string, unknown>>) => {
    const options = loadOptions(settingsFor([join(rules, 'r.yaml')], settings), 1);
    return loadRules([join(rules, 'r.yaml')], options).findings.map(
      ({ level, code, message }) => `${level} ${code} ${message}`,
    );
  };
  const warnings = found({});
  t.equal(warnings.length, 2, 'one for the headers, one for the cookies');
  t.match(
    warnings[0],
    /^warning no-client-certificate default\/mtls: spec\.rules\.0\.request\.headers\.X-CN: stays empty, .*clientCertificates/,
  );
  t.match(warnings[1], /request\.cookies\.who: stays empty/);
  t.same(found({ proof: { certificateField: 'client-cert' } }), []);
  for (const [kind, count] of [
    ['required', 0],
    ['optional', 0],
    ['unverified', 2],
  ] as const) {
    t.equal(found({ listen: { proxy: { tls: tlsOf(kind) } } }).length, count, kind);
  }
  t.end();
});
