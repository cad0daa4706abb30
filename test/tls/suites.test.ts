import { once } from 'node:events';
import { connect as connectHttp2, constants } from 'node:http2';
import { join } from 'node:path';
import { type ConnectionOptions, connect, getCiphers, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { Agent, request } from 'undici';
import { allowsHttp2, SUITES, weakElements } from '../../src/tls/suites.js';
import { startTestGateway, type TestGateway } from '../gateway.js';
import { settingsFor } from '../settings.js';
import { makeCertificate } from '../stack/certificate.js';

const [ec, rsa] = await Promise.all([
  makeCertificate(['gate.example', '127.0.0.1']),
  makeCertificate(['gate.example', '127.0.0.1'], Date.now(), 'RSA'),
]);
/** Suites of TLS 1.2 that this client can offer. */
const OLD = getCiphers()
  .filter((name) => !name.startsWith('tls_') && !/psk|srp|null|^(?:adh|aecdh)/.test(name))
  .map((name) => name.toUpperCase());

function files(t: Test): (name: string) => string {
  const folder = t.testdir({ 'ec.crt': ec.cert, 'ec.key': ec.key, 'rsa.crt': rsa.cert, 'rsa.key': rsa.key });
  return (name) => join(folder, name);
}

const pair = (path: (name: string) => string, name: string, more: object = {}) => ({
  cert: path(`${name}.crt`),
  key: path(`${name}.key`),
  ...more,
});

/** One handshake; undefined where it fails. */
async function shake(port: number, options: ConnectionOptions): Promise<TLSSocket | undefined> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  try {
    await once(socket, 'secureConnect');
    return socket;
  } catch {
    return undefined;
  }
}

async function accepts(port: number, options: ConnectionOptions): Promise<boolean> {
  const socket = await shake(port, options);
  socket?.destroy();
  return socket !== undefined;
}

/** The suites of TLS 1.2 that a port accepts one by one. */
async function acceptedBy(port: number): Promise<string[]> {
  const found: string[] = [];
  for (const ciphers of OLD) {
    if (await accepts(port, { maxVersion: 'TLSv1.2', ciphers: `${ciphers}:@SECLEVEL=0` }))
      found.push(ciphers);
  }
  return found.sort();
}

const startTls = (t: Test, proxy: object, admin: object = proxy): Promise<TestGateway> =>
  startTestGateway(t, { settings: { listen: { proxy: { tls: proxy }, admin: { tls: admin } } } });

t.test(
  'listeners accept only suites with forward secrecy and authenticated encryption, and only three curves',
  async (t) => {
    const path = files(t);
    t.ok(OLD.length > 20, `${OLD.length} suites are offered`);
    for (const [kind, suites] of [
      [
        'ec',
        ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
      ],
      ['rsa', ['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-CHACHA20-POLY1305']],
    ] as const) {
      const gate = await startTls(t, pair(path, kind));
      for (const port of [gate.port, gate.adminPort]) {
        t.same(await acceptedBy(port), suites, kind);
        for (const maxVersion of ['TLSv1', 'TLSv1.1'] as const) {
          const offer = { minVersion: 'TLSv1', maxVersion, ciphers: 'ALL:@SECLEVEL=0' } as const;
          t.notOk(await accepts(port, offer), maxVersion);
        }
        t.ok(await accepts(port, { minVersion: 'TLSv1.3' }));
        // In TLS 1.2 the curve of a certificate is one that the client must have as well.
        for (const version of kind === 'ec' ? (['TLSv1.3'] as const) : (['TLSv1.2', 'TLSv1.3'] as const)) {
          const with_ = (ecdhCurve: string) =>
            accepts(port, { minVersion: version, maxVersion: version, ecdhCurve });
          for (const curve of ['X25519', 'prime256v1', 'secp384r1'])
            t.ok(await with_(curve), `${version} ${curve}`);
          for (const curve of ['X448', 'secp521r1']) t.notOk(await with_(curve), `${version} ${curve}`);
        }
      }
      t.notMatch(JSON.stringify(gate.log), /insecure/);
    }
  },
);

t.test('the same holds after a renewal, and for names with a certificate of their own', async (t) => {
  const path = files(t);
  const certificates = [{ ...pair(path, 'rsa'), serverNames: ['other.example'] }];
  const gate = await startTls(t, pair(path, 'ec', { certificates }));
  for (const renewed of [false, true]) {
    if (renewed) gate.gateway.reload();
    for (const servername of ['gate.example', 'other.example']) {
      const offer = { maxVersion: 'TLSv1.2', servername } as const;
      t.notOk(
        await accepts(gate.port, {
          ...offer,
          ciphers: 'AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA',
        }),
      );
      t.notOk(await accepts(gate.port, { ...offer, ecdhCurve: 'secp521r1' }), 'curve');
      t.ok(await accepts(gate.port, offer));
    }
  }
});

t.test('older clients need a setting that is called insecure, and each start warns of it', async (t) => {
  const path = files(t);
  const gate = await startTls(t, pair(path, 'rsa', { insecureOlderClients: true }), pair(path, 'rsa'));
  const accepted = await acceptedBy(gate.port);
  t.ok(accepted.includes('AES128-SHA') && accepted.includes('ECDHE-RSA-AES128-SHA'), accepted.join());
  t.same((await acceptedBy(gate.adminPort)).length, 3, 'one listener is not the other');
  const warnings = (gate.log as Record<string, unknown>[]).filter(({ msg }) => /^insecure/.test(String(msg)));
  t.match(warnings, [{ level: 40, setting: 'listen.proxy.tls.insecureOlderClients' }]);
  t.equal(warnings.length, 1);
  const both = await shake(gate.port, { maxVersion: 'TLSv1.2' });
  t.match(both?.getCipher().name, /^ECDHE-RSA-.*(?:GCM|CHACHA20)/, 'who can do better does');
  both?.destroy();

  for (const [ciphers, weak] of [
    ['ECDHE-RSA-AES128-GCM-SHA256', undefined],
    ['HIGH:!aNULL', ['HIGH']],
    ['ECDHE+AESGCM:ECDHE-RSA-AES128-SHA', ['ECDHE-RSA-AES128-SHA']],
  ] as const) {
    const chosen = await startTls(t, pair(path, 'rsa', { ciphers }), pair(path, 'rsa'));
    const told = (chosen.log as Record<string, unknown>[]).filter(({ msg }) => /^insecure/.test(String(msg)));
    t.match(told, weak === undefined ? [] : [{ setting: 'listen.proxy.tls.ciphers', suites: weak }], ciphers);
    t.equal(told.length, weak === undefined ? 0 : 1);
  }
  t.throws(
    () =>
      settingsFor(['r'], {
        listen: { proxy: { tls: pair(path, 'rsa', { ciphers: SUITES, insecureOlderClients: true }) } },
      }),
    /insecureOlderClients has no effect if ciphers is set; remove one of them/,
  );
});

t.test('HTTP/2 is never used with a suite that RFC 9113 prohibits', async (t) => {
  const path = files(t);
  const gate = await startTls(t, pair(path, 'rsa', { insecureOlderClients: true }));
  for (const ciphers of [
    'AES128-SHA',
    'AES256-GCM-SHA384',
    'ECDHE-RSA-AES128-SHA256',
    'ECDHE-RSA-AES256-SHA',
  ]) {
    const options = { rejectUnauthorized: false, maxVersion: 'TLSv1.2', ciphers } as const;
    const session = connectHttp2(gate.url, options);
    session.on('error', () => {});
    const stream = session.request({
      ':path': '/x',
      ':authority': 'gate.example',
      authorization: 'Bearer good-read',
    });
    stream.on('error', () => {});
    stream.on('response', () => t.fail(`${ciphers}: answered`));
    const [code] = (await once(session, 'goaway')) as [number];
    t.equal(code, constants.NGHTTP2_INADEQUATE_SECURITY, ciphers);
    session.destroy();
    const dispatcher = new Agent({ allowH2: false, connect: options });
    const { statusCode, body } = await request(`${gate.url}/x`, {
      dispatcher,
      headers: { host: 'gate.example', authorization: 'Bearer good-read' },
    });
    await body.dump();
    await dispatcher.destroy();
    t.equal(statusCode, 200, `${ciphers}: HTTP/1.1 goes on`);
  }
  t.equal(gate.upstream.received.length, 4);
  for (const ciphers of ['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-CHACHA20-POLY1305']) {
    const dispatcher = new Agent({
      allowH2: true,
      connect: { rejectUnauthorized: false, maxVersion: 'TLSv1.2', ciphers },
    });
    const { statusCode, body } = await request(`${gate.url}/x`, {
      dispatcher,
      headers: { host: 'gate.example', authorization: 'Bearer good-read' },
    });
    await body.dump();
    await dispatcher.destroy();
    t.equal(statusCode, 200, ciphers);
    t.equal(gate.upstream.received.at(-1)?.headers.via?.includes('2.0 '), true, 'over HTTP/2');
  }
});

t.test('suites that HTTP/2 may use, and elements of lists that accept weak ones, are told apart', (t) => {
  const http2 = (standardName: string, version = 'TLSv1.2') =>
    allowsHttp2({ name: '', standardName, version });
  for (const name of [
    'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    'TLS_DHE_RSA_WITH_AES_256_GCM_SHA384',
    'TLS_ECDHE_ECDSA_WITH_AES_128_CCM',
    'TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8',
  ]) {
    t.ok(http2(name), name);
  }
  for (const name of [
    'TLS_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_RSA_WITH_AES_128_CCM',
    'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256',
    'TLS_DHE_RSA_WITH_CAMELLIA_128_CBC_SHA',
    'TLS_DH_anon_WITH_AES_128_GCM_SHA256',
    'TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_PSK_WITH_AES_128_GCM_SHA256',
    '',
  ]) {
    t.notOk(http2(name), name);
  }
  t.ok(http2('TLS_AES_128_GCM_SHA256', 'TLSv1.3'));
  t.same(weakElements(SUITES), []);
  t.same(weakElements('ECDHE+AESGCM, ECDHE+CHACHA20 DHE+AESGCM:!aNULL:@STRENGTH:kEECDH+AESGCM'), []);
  for (const weak of [
    'ALL',
    'HIGH',
    'DEFAULT',
    'AES128-SHA',
    'kRSA',
    'ECDHE',
    'AESGCM',
    'AES',
    '@SECLEVEL=0',
  ]) {
    t.same(weakElements(`ECDHE+AESGCM:${weak}`), [weak]);
  }
  t.end();
});
