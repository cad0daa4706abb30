import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import t, { type Test } from 'tap';
import { Agent, request } from 'undici';
import { Credentials } from '../../src/tls/credentials.js';
import type { TlsFiles } from '../../src/tls/identity.js';
import { startTestGateway } from '../gateway.js';
import { readExposition } from '../observe/exposition.js';
import { settingsFor } from '../settings.js';
import { type Certificate, makeCertificate } from '../stack/certificate.js';

const [first, second, third, other] = (await Promise.all([
  makeCertificate(['gate.example']),
  makeCertificate(['b.example', '*.c.example']),
  makeCertificate(['exact.c.example']),
  makeCertificate(['gate.example']),
])) as [Certificate, Certificate, Certificate, Certificate];

/** Writes certificates as files. @returns their paths */
function files(t: Test, certificates: Readonly<Record<string, Certificate>>): (name: string) => string {
  const folder = t.testdir(
    Object.fromEntries([
      [
        'all.ca',
        Object.values(certificates)
          .map(({ ca }) => ca)
          .join('\n'),
      ],
      ...Object.entries(certificates).flatMap(([name, { cert, key, ca }]) => [
        [`${name}.crt`, cert],
        [`${name}.key`, key],
        [`${name}.ca`, ca],
      ]),
    ]),
  );
  return (name) => join(folder, name);
}

const pair = (path: (name: string) => string, name: string) => ({
  cert: path(`${name}.crt`),
  key: path(`${name}.key`),
});

/** One handshake. @returns the fingerprint of the certificate that was shown */
async function shownTo(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()?.fingerprint256 ?? '';
  } finally {
    socket.destroy();
  }
}

/** The fingerprint of a certificate as a client sees it. */
async function fingerprint(t: Test, certificate: Certificate): Promise<string> {
  const server = createServer(certificate).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  return shownTo((server.address() as AddressInfo).port);
}

t.test('a client gets the certificate for the name it asks for', async (t) => {
  const path = files(t, { first, second, third, other });
  const certificates = [
    pair(path, 'second'),
    pair(path, 'third'),
    { ...pair(path, 'other'), serverNames: ['legacy.example', '*.d.example'] },
  ];
  const gate = await startTestGateway(t, {
    settings: { listen: { proxy: { tls: { ...pair(path, 'first'), certificates } } } },
  });
  const [one, two, three, four] = await Promise.all(
    [first, second, third, other].map((certificate) => fingerprint(t, certificate)),
  );
  const cases: [servername: string, expected: string | undefined][] = [
    ['gate.example', one],
    ['b.example', two],
    ['B.EXAMPLE', two],
    ['any.c.example', two],
    ['exact.c.example', three],
    ['deep.any.c.example', one],
    ['legacy.example', four],
    ['x.d.example', four],
    ['x.y.d.example', one],
    ['nowhere.example', one],
    ['', one],
  ];
  for (const [servername, expected] of cases) {
    t.equal(await shownTo(gate.port, { servername }), expected, servername || 'no name');
  }
});

t.test('versions and ciphers below what is accepted are refused', async (t) => {
  const path = files(t, { first });
  const tls = { ...pair(path, 'first'), minVersion: 'TLSv1.3' };
  const modern = await startTestGateway(t, { settings: { listen: { proxy: { tls } } } });
  await t.rejects(shownTo(modern.port, { maxVersion: 'TLSv1.2' }));
  t.ok(await shownTo(modern.port));
  const ciphers = 'ECDHE-ECDSA-AES256-GCM-SHA384';
  const strict = await startTestGateway(t, {
    settings: { listen: { proxy: { tls: { ...pair(path, 'first'), ciphers } } } },
  });
  const old: ConnectionOptions = { maxVersion: 'TLSv1.2' };
  await t.rejects(shownTo(strict.port, { ...old, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' }));
  t.ok(await shownTo(strict.port, { ...old, ciphers }));
});

t.test('client certificates: none, optional, required; those nobody vouches for are refused', async (t) => {
  const path = files(t, { first, second, other });
  const serve = async (more: Partial<TlsFiles>) => {
    const credentials = new Credentials({
      ...pair(path, 'first'),
      certificates: [pair(path, 'second')],
      clientCertificates: 'none',
      minVersion: 'TLSv1.2',
      ...more,
    });
    const server = createServer(credentials.serverOptions(), (message, response) => {
      const socket = message.socket as TLSSocket;
      response.end(`${socket.authorized} ${socket.getPeerCertificate().subject?.CN ?? 'nobody'}`);
    });
    credentials.serve(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => server.close());
    return async (client: object, servername = 'gate.example') => {
      const dispatcher = new Agent({ connect: { ...client, servername, rejectUnauthorized: false } });
      try {
        const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
        return await (await request(url, { dispatcher })).body.text();
      } catch {
        return 'refused';
      } finally {
        await dispatcher.destroy();
      }
    };
  };
  const known = { cert: second.cert, key: second.key };
  const stranger = { cert: other.cert, key: other.key };
  const clientCa = path('second.ca');

  const none = await serve({});
  t.equal(await none(known), 'false nobody');
  const optional = await serve({ clientCertificates: 'optional', clientCa });
  t.equal(await optional({}), 'false nobody');
  t.equal(await optional(known), 'true b.example');
  t.equal(await optional(known, 'b.example'), 'true b.example', 'with another name, too');
  t.equal(await optional(stranger), 'refused');
  t.equal(await optional(stranger, 'b.example'), 'refused');
  const required = await serve({ clientCertificates: 'required', clientCa });
  t.equal(await required({}), 'refused');
  t.equal(await required(known), 'true b.example');
  t.equal(await required(stranger), 'refused');
  const unverified = await serve({ clientCertificates: 'unverified' });
  t.equal(await unverified({}), 'false nobody');
  t.equal(await unverified(stranger), 'false gate.example', 'taken, but not vouched for');
  // Certificates that are only sent vouch for nobody.
  const sending = await serve({ ca: path('other.ca'), clientCertificates: 'required', clientCa });
  t.equal(await sending(stranger), 'refused');
});

t.test('the certificate a client has shown is the one its token may be bound to (RFC 8705)', async (t) => {
  const path = files(t, { first, second, third });
  const bound = createHash('sha256').update(new X509Certificate(second.cert).raw).digest('base64url');
  const start = (clients: object) =>
    startTestGateway(t, {
      tokens: { bound: { scope: 'read', cnf: { 'x5t#S256': bound } } },
      settings: {
        listen: {
          proxy: {
            tls: {
              ...pair(path, 'first'),
              ...clients,
            },
          },
        },
      },
    });
  const verified = await start({ clientCertificates: 'optional', clientCa: path('all.ca') });
  const unverified = await start({ clientCertificates: 'unverified' });
  for (const [allowH2, gate] of [
    [false, verified],
    [true, verified],
    [false, unverified],
  ] as const) {
    const statusWith = async (shown: object) => {
      const dispatcher = new Agent({
        allowH2,
        connect: { ...shown, ca: first.ca, servername: 'gate.example' },
      });
      const { statusCode, body } = await request(`${gate.url}/x`, {
        dispatcher,
        headers: { host: 'gate.example', authorization: 'Bearer bound' },
      });
      await body.dump();
      await dispatcher.destroy();
      return statusCode;
    };
    t.equal(await statusWith({ cert: second.cert, key: second.key }), 200, `HTTP/2: ${allowH2}`);
    t.equal(await statusWith({ cert: third.cert, key: third.key }), 401);
    t.equal(await statusWith({}), 401);
  }
});

/** Waits until a log has so many lines of a kind. */
async function logged(log: readonly Record<string, unknown>[], msg: string, count: number): Promise<void> {
  const late = performance.now() + 15_000;
  while (log.filter((line) => String(line.msg).startsWith(msg)).length < count) {
    if (performance.now() > late) throw new Error(`${msg} was logged less than ${count} times`);
    await new Promise(setImmediate);
  }
}

t.test('certificates rotated under load: no handshake fails, no connection breaks', async (t) => {
  const path = files(t, { live: first });
  const gate = await startTestGateway(t, {
    settings: { listen: { proxy: { tls: pair(path, 'live') } }, reload: { poll: '0s' } },
  });
  const ca = [first, second, third, other].map((each) => each.ca);
  const failures: string[] = [];
  let done = 0;
  let on = true;
  const client = async () => {
    while (on) {
      // A connection of its own for each request: a handshake each.
      const dispatcher = new Agent({ connect: { ca, checkServerIdentity: () => undefined } });
      try {
        const { statusCode, body } = await request(`${gate.url}/x`, {
          dispatcher,
          headers: { host: 'gate.example', authorization: 'Bearer good-read' },
        });
        await body.dump();
        if (statusCode !== 200) failures.push(String(statusCode));
      } catch (error) {
        failures.push(String(error));
      }
      await dispatcher.destroy();
      done++;
    }
  };
  const standing = new Agent({ connections: 1, connect: { ca, checkServerIdentity: () => undefined } });
  t.teardown(() => standing.destroy());
  const ask = async () => {
    const { statusCode, body } = await request(`${gate.url}/x`, {
      dispatcher: standing,
      headers: { host: 'gate.example', authorization: 'Bearer good-read' },
    });
    await body.dump();
    return statusCode;
  };
  t.equal(await ask(), 200);
  const clients = Array.from({ length: 8 }, client);
  let rotations = 0;
  for (const certificate of [second, third, other]) {
    const { cert, key } = pair(path, 'live');
    if (certificate === third) {
      // As a mounted secret is swapped: never a half of each.
      writeFileSync(`${cert}.new`, certificate.cert);
      writeFileSync(`${key}.new`, certificate.key);
      renameSync(`${cert}.new`, cert);
      renameSync(`${key}.new`, key);
    } else {
      writeFileSync(cert, certificate.cert);
      writeFileSync(key, certificate.key);
    }
    await logged(gate.log, 'certificates reloaded', ++rotations);
    t.equal(await shownTo(gate.port), await fingerprint(t, certificate), 'the new one is shown');
    t.equal(await ask(), 200, 'a connection from before goes on');
  }
  const enough = done + 20;
  while (done < enough) await new Promise(setImmediate);
  on = false;
  await Promise.all(clients);
  t.same(failures, []);
});

t.test('files that are no identity leave the one from before in force, and say so', async (t) => {
  const path = files(t, { live: first, admin: second });
  const listen = { proxy: { tls: pair(path, 'live') }, admin: { tls: pair(path, 'admin') } };
  const gate = await startTestGateway(t, { settings: { listen, reload: { watch: false } } });
  const before = await shownTo(gate.port);
  const expired = await makeCertificate(['gate.example'], Date.now() - 90 * 24 * 60 * 60 * 1000);
  const { cert, key } = pair(path, 'live');
  const cases: [string, string, string | RegExp][] = [
    [first.cert, other.key, /live\.key is not the key of .*live\.crt$/],
    ['nonsense', first.key, /live\.crt does not contain a certificate$/],
    [first.cert, 'nonsense', /live\.key does not contain a private key/],
    [expired.cert, expired.key, 'a certificate has expired'],
  ];
  for (const [newCert, newKey, cause] of cases) {
    writeFileSync(cert, newCert);
    writeFileSync(key, newKey);
    gate.log.splice(0);
    gate.gateway.reload();
    t.match(gate.log, [
      { listener: 'proxy', cause, msg: /^certificates not reloaded/, level: 50 },
      { listener: 'admin', msg: 'certificates reloaded' },
    ]);
    t.equal(await shownTo(gate.port), before);
  }
  t.notMatch(JSON.stringify(gate.log), /PRIVATE KEY/);

  const admin = new Agent({ connect: { ca: second.ca, servername: 'b.example' } });
  t.teardown(() => admin.destroy());
  const get = (page: string) => request(gate.adminUrl + page, { dispatcher: admin });
  t.match(gate.adminUrl, /^https:/);
  t.equal((await get('/health/ready')).statusCode, 200, 'the admin port speaks TLS, too');
  const { samples } = readExposition(await (await get('/metrics')).body.text());
  const value = (name: string, label?: string) =>
    samples.find((sample) => sample.name === name && Object.values(sample.labels)[0] === label)?.value ?? 0;
  t.equal(value('scopegate_tls_reloads_total', 'failed'), cases.length);
  t.equal(value('scopegate_tls_reloads_total', 'ok'), cases.length);
  t.equal(value('scopegate_tls_reload_successful'), 0);
  const days = (value('scopegate_tls_expiry_timestamp_seconds', 'proxy') - Date.now() / 1000) / 86_400;
  t.ok(days > 29 && days <= 30);

  writeFileSync(cert, other.cert);
  writeFileSync(key, other.key);
  gate.gateway.reload();
  t.equal(await shownTo(gate.port), await fingerprint(t, other), 'good ones are taken at SIGHUP');

  const soon = await makeCertificate(['gate.example'], Date.now() - 29.5 * 24 * 60 * 60 * 1000);
  writeFileSync(cert, soon.cert);
  writeFileSync(key, soon.key);
  gate.log.splice(0);
  gate.gateway.reload();
  t.match(gate.log, [
    { listener: 'proxy', msg: 'certificates reloaded' },
    { listener: 'proxy', msg: 'a certificate expires within 1 day', level: 40 },
    { listener: 'admin', msg: 'certificates reloaded' },
  ]);
});

t.test('settings that name no identity are refused where they stand', async (t) => {
  const path = files(t, { first, other });
  const problem = (tls: object) => {
    try {
      settingsFor(['r'], { listen: { proxy: { tls } } });
      return 'none';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const mixed = { cert: path('first.crt'), key: path('other.key') };
  t.match(problem(mixed), /unusable-file listen\.proxy\.tls\.key: .* is not the key of/);
  t.match(
    problem({ ...pair(path, 'first'), certificates: [mixed] }),
    /unusable-file listen\.proxy\.tls\.certificates\.0\.key: /,
  );
  t.match(
    problem({ ...pair(path, 'first'), ciphers: 'ROT13' }),
    /tls\.ciphers: no cipher in the list is known/,
  );
  t.match(
    problem({ ...pair(path, 'first'), clientCertificates: 'required' }),
    /must have the field "clientCa"/,
  );
  t.match(
    problem({ ...pair(path, 'first'), clientCa: path('other.ca') }),
    /clientCa has no effect unless clientCertificates is optional or required, and it is none;/,
  );
  t.match(
    problem({ ...pair(path, 'first'), clientCa: path('other.ca'), clientCertificates: 'unverified' }),
    /clientCa has no effect unless clientCertificates is optional or required, and it is unverified;/,
  );
  const asking = { ...pair(path, 'first'), clientCertificates: 'optional' };
  t.match(problem({ ...asking, clientCa: path('first.key') }), /clientCa: .* does not contain a certificate/);
  t.equal(problem({ ...asking, clientCa: path('other.ca') }), 'none');
});
