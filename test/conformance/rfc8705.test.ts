import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { decide } from '../../src/auth/decide.js';
import { readAnswer } from '../../src/auth/introspection/answer.js';
import {
  CERTIFICATE_FIELDS,
  type CertificateField,
  thumbprintOf,
} from '../../src/auth/possession/certificate.js';
import { createPossessionVerifier } from '../../src/auth/possession/verifier.js';
import { oauth2Introspection } from '../../src/auth/strategies/oauth2-introspection.js';
import type { Services } from '../../src/model/strategy.js';
import { peerReader } from '../../src/parse/peer.js';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { arrival, noServices, ruleOf, tableOf } from '../decision.js';
import { apiRule, startTestGateway } from '../gateway.js';
import { startIssuer } from '../jwks.js';
import { makeClientKey } from '../proof.js';
import { options } from '../rules/options.js';
import { makeCertificate } from '../stack/certificate.js';
import { prove } from './statements.js';

const [own, stranger] = await Promise.all([
  makeCertificate(['client.example']),
  makeCertificate(['x.example']),
]);

const der = (pem: string) => new X509Certificate(pem).raw;
const thumbprint = (pem: string) => createHash('sha256').update(der(pem)).digest('base64url');
const base64 = (pem: string) => der(pem).toString('base64');
const hex = (pem: string) => createHash('sha256').update(der(pem)).digest('hex');

/** A certificate as each terminator passes it. */
const PASSED: Readonly<Record<CertificateField, (pem: string) => string[]>> = {
  'client-cert': (pem) => [`:${base64(pem)}:`],
  'x-forwarded-client-cert': (pem) => [
    `Hash=${hex(pem)}`,
    `By=spiffe://a/b;Hash=${hex(pem)};Subject="CN=\\"x\\", O=y; z";URI=spiffe://c/d;URI=e`,
    `By=spiffe://a/b;Cert="${encodeURIComponent(pem)}";Subject=""`,
  ],
  'x-forwarded-tls-client-cert': (pem) => [
    encodeURIComponent(base64(pem)),
    `${base64(pem)},${base64(stranger.cert)}`,
  ],
  'x-ssl-client-cert': (pem) => [encodeURIComponent(pem)],
};

/** What is no certificate, or more than one. */
const BROKEN: Readonly<Record<CertificateField, (pem: string) => string[]>> = {
  'client-cert': (pem) => [
    '',
    '::',
    ':AAAA:',
    base64(pem),
    `:${base64(pem)}`,
    `:${base64(pem)}:, :${base64(pem)}:`,
  ],
  'x-forwarded-client-cert': (pem) => [
    '',
    'Hash=00',
    `Hash=${hex(pem)},Hash=${hex(pem)}`,
    `Hash=${hex(stranger.cert)};Hash=${hex(pem)}`,
    `By="Hash=${hex(pem)}"`,
    `By=";Hash=${hex(pem)}`,
    'Cert="%zz"',
  ],
  'x-forwarded-tls-client-cert': () => ['', '%', 'AAAA', 'x'],
  'x-ssl-client-cert': (pem) => ['', '%E0', encodeURIComponent(pem.slice(0, 200))],
};

const TOKENS = {
  t: { cnf: { 'x5t#S256': thumbprint(own.cert) } },
  nested: { ext: { cnf: { 'x5t#S256': thumbprint(own.cert) } }, cnf: { 'x5t#S256': 'other' } },
  odd: { cnf: { 'x5t#S256': 1 } },
  free: {},
};
const RULES = apiRule('gate.example', [
  { path: '/any', methods: ['GET'], accessStrategies: [{ handler: 'oauth2_introspection' }] },
  {
    path: '/only',
    methods: ['GET'],
    accessStrategies: [{ handler: 'oauth2_introspection', config: { proof_of_possession: 'certificate' } }],
  },
]);

/** A gateway behind a terminator, or not. */
const start = (t: Test, certificateField: string, trustedProxies: readonly string[] = ['127.0.0.1/32']) =>
  startTestGateway(t, {
    rules: RULES,
    tokens: TOKENS,
    settings: { trustedProxies, proof: { certificateField } },
  });

t.test('RFC 8705', async (t) => {
  await prove(t, ['R8705-'], {
    'R8705-01': async (t) => {
      for (const field of CERTIFICATE_FIELDS) {
        const gate = await start(t, field);
        for (const value of PASSED[field](own.cert)) {
          const reply = await ask(gate, '/any', { token: 't', headers: { [field]: value } });
          t.equal(reply.status, 200, `${field}: ${value}`);
          t.equal(gate.upstream.received.at(-1)?.headers[field], undefined, 'the upstream does not get it');
        }
      }
      t.equal(await decided(t, own, 't'), 'allowed', 'shown on the connection itself');
    },

    'R8705-02': async (t) => {
      const gate = await start(t, 'client-cert');
      for (const headers of [{}, { 'client-cert': `:${base64(stranger.cert)}:` }] as Record<
        string,
        string
      >[]) {
        for (const token of ['t', 'odd']) {
          const reply = await ask(gate, '/any', { token, headers });
          t.equal(reply.status, 401);
          t.match(reply.headers['www-authenticate'], /^Bearer .*error="invalid_token"/);
        }
      }
      t.equal(gate.upstream.received.length, 0);
      t.match(await decided(t, stranger, 't'), /another certificate/);
      t.match(await decided(t, undefined, 't'), /has not shown/);
      t.equal(await decided(t, undefined, 'free'), 'allowed');
    },

    'R8705-03': async (t) => {
      const gate = await start(t, 'client-cert');
      const headers = { 'client-cert': `:${base64(own.cert)}:` };
      t.equal((await ask(gate, '/any', { token: 'nested', headers })).status, 401);
      t.equal((await ask(gate, '/any', { token: 't', headers })).status, 200);
    },

    'R8705-04': async (t) => {
      for (const field of CERTIFICATE_FIELDS) {
        const gate = await start(t, field, ['192.0.2.0/24']);
        for (const value of PASSED[field](own.cert)) {
          const headers = { [field]: value };
          t.equal((await ask(gate, '/any', { token: 't', headers })).status, 401, field);
          t.equal((await ask(gate, '/any', { token: 'free', headers })).status, 200);
          t.equal(gate.upstream.received.at(-1)?.headers[field], undefined);
        }
        // Nor is another field than the one that the proxy sets.
        const other = await start(t, CERTIFICATE_FIELDS.find((name) => name !== field) as string);
        const headers = { [field]: PASSED[field](own.cert)[0] as string };
        t.equal((await ask(other, '/any', { token: 't', headers })).status, 401, field);
      }
    },

    'R8705-05': async (t) => {
      // No option says ignore.
      const gate = await start(t, 'none');
      for (const field of CERTIFICATE_FIELDS) {
        for (const value of PASSED[field](own.cert)) {
          const reply = await ask(gate, '/any', { token: 't', headers: { [field]: value } });
          t.equal(reply.status, 401, field);
        }
      }
      t.equal(gate.upstream.received.length, 0);
    },
  });
});

t.test('a field that is broken, or names more than one certificate, names none', (t) => {
  const peer = { address: '127.0.0.1', secure: false, trusted: true, thumbprint: 'the proxy’s own' };
  const read = (field: CertificateField, value: string) =>
    thumbprintOf({ ...arrival('/', { [field]: value }), peer }, field);
  for (const field of CERTIFICATE_FIELDS) {
    for (const value of PASSED[field](own.cert))
      t.equal(read(field, value), thumbprint(own.cert), `${field}: ${value}`);
    for (const value of BROKEN[field](own.cert)) t.equal(read(field, value), undefined, `${field}: ${value}`);
    t.equal(
      thumbprintOf({ ...arrival('/'), peer }, field),
      undefined,
      'the proxy speaks for its client or not at all',
    );
    t.equal(thumbprintOf({ ...arrival('/'), peer: { ...peer, trusted: false } }, field), peer.thumbprint);
  }
  t.end();
});

t.test('a rule may demand a certificate', async (t) => {
  const gate = await start(t, 'client-cert');
  const headers = { 'client-cert': `:${base64(own.cert)}:` };
  t.equal((await ask(gate, '/only', { token: 't', headers })).status, 200);
  t.match((await ask(gate, '/only', { token: 'free', headers })).reason, /only tokens that are bound/);
});

t.test(
  'the jwt handler asks for the certificate as well, and a token may be bound in both ways',
  async (t) => {
    const clock = fakeClock();
    const issuer = await startIssuer(clock.wall);
    t.teardown(() => issuer.close());
    const signer = await issuer.makeKey('k1');
    const key = await makeClientKey();
    const config = { jwks_urls: [issuer.url], allowed_algorithms: ['ES256'] };
    const gate = await startTestGateway(t, {
      clock,
      rules: apiRule('gate.example', [
        { path: '/jwt', methods: ['GET'], accessStrategies: [{ handler: 'jwt', config }] },
      ]),
      settings: {
        trustedProxies: ['127.0.0.1/32'],
        proof: { certificateField: 'client-cert', dpop: { enabled: true } },
      },
    });
    const certificate = { 'client-cert': `:${base64(own.cert)}:` };
    const bound = await issuer.sign(signer, 'k1', { cnf: { 'x5t#S256': thumbprint(own.cert) } as object });
    t.equal((await ask(gate, '/jwt', { token: bound, headers: certificate })).status, 200);
    t.match((await ask(gate, '/jwt', { token: bound })).reason, /has not shown/);

    const token = await issuer.sign(signer, 'k1', {
      cnf: { 'x5t#S256': thumbprint(own.cert), jkt: key.jkt } as object,
    });
    const uri = 'http://gate.example/jwt';
    const proof = async () => ({
      authorization: `DPoP ${token}`,
      dpop: await key.prove({ uri, token, now: clock.wall() }),
    });
    t.equal((await ask(gate, '/jwt', { headers: { ...certificate, ...(await proof()) } })).status, 200);
    t.equal((await ask(gate, '/jwt', { headers: await proof() })).status, 401, 'without the certificate');
    t.equal((await ask(gate, '/jwt', { token, headers: certificate })).status, 401, 'without the proof');
  },
);

/** The decision about a request that comes on a TLS connection of its own, on which the client shows a certificate. */
async function decided(
  t: Test,
  shown: { cert: string; key: string } | undefined,
  token: keyof typeof TOKENS,
): Promise<'allowed' | string> {
  const server = createTlsServer({
    cert: own.cert,
    key: own.key,
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...shown });
  const [socket] = await accepted;
  t.teardown(() => server.close());
  const strategy = oauth2Introspection.compile({}, options.handlers);
  const { target, fields } = arrival('/any', { authorization: `Bearer ${token}` });
  const services: Services = {
    ...noServices,
    introspect: () => ({
      ok: true,
      answer: readAnswer(JSON.stringify({ active: true, ...TOKENS[token] })),
      trace: { from: 'hit', ms: 0 },
    }),
    possession: createPossessionVerifier({}, noServices.now),
  };
  const table = tableOf([ruleOf('/any', [strategy])]);
  const decision = await decide({
    table,
    method: 'GET',
    target,
    fields,
    services,
    peer: peerReader([])(socket),
  });
  client.destroy();
  socket.destroy();
  return decision.allowed ? 'allowed' : decision.denial.reason;
}
