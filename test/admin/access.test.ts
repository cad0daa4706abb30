import type { Socket } from 'node:net';
import t from 'tap';
import { type AccessOptions, createAccess } from '../../src/admin/access.js';

const access = (more: Partial<AccessOptions> = {}) =>
  createAccess({ hosts: ['Gate.Example'], isLocal: () => false, ...more });
const SOCKET = {} as Socket;

t.test('only names that no stranger can point at the admin port are answered', (t) => {
  const { read, scrape } = access();
  for (const host of [
    ...['127.0.0.1', '127.0.0.1:4456', '[::1]', '[::1]:4456', '10.0.0.7:', 'localhost', 'LOCALHOST:1'],
    ...['a.localhost', 'gate.example', 'GATE.EXAMPLE:4456'],
  ]) {
    t.equal(read(host), undefined, host);
    t.equal(scrape(host), undefined, host);
  }
  for (const host of [
    ...['evil.example', 'a.localhost.evil.example', 'localhost.evil.example', 'xlocalhost.example'],
    ...[
      'gate.example.evil.example',
      'xgate.example',
      'gate.example:4456:1',
      'gate.example:a',
      'a.gate.example',
    ],
    ...[
      '127.0.0.1.evil.example',
      'a.svc.evil.example',
      'a.internal.evil.example',
      'a.xsvc',
      '[evil.example]',
    ],
    ...['a.cluster.local.x', 'a.clusterxlocal', '256.0.0.1', 'evil.example\nlocalhost.x'],
  ]) {
    t.match(read(host), { code: 403, message: /admin\.hosts/ }, host);
    t.match(scrape(host), { code: 403, message: /admin\.hosts/ }, host);
  }
  for (const host of [
    'gate',
    'gate:4456',
    '',
    undefined,
    'a.svc',
    'a.b.svc:1',
    'a.svc.cluster.local',
    'a.internal',
  ]) {
    t.match(read(host), { code: 403 }, `${host} may be a name of the network: it tells machines only`);
    t.equal(scrape(host), undefined, `${host}`);
  }
  for (const host of ['::[1]', '[::]1', '1[::1]', '[::1]1']) t.match(read(host), { code: 403 }, host);
  t.end();
});

t.test('a page acts only on the address that served it, or under a name of the settings', (t) => {
  const { cross } = access();
  const host = '127.0.0.1:4456';
  for (const fields of [
    {},
    { host },
    { host, 'sec-fetch-site': 'none' },
    { host, 'sec-fetch-site': 'same-origin' },
    { host, origin: 'http://127.0.0.1:4456' },
    { host, origin: 'http://127.0.0.1:4456', 'sec-fetch-site': 'same-origin' },
    { host: 'gate.internal', origin: 'https://gate.internal' },
    { host: 'gate.internal:443', origin: 'https://gate.internal' },
    { host: '127.0.0.1', origin: 'http://127.0.0.1' },
    { host, origin: 'https://gate.example' },
    { host, origin: 'https://gate.example:8443' },
    { origin: 'https://gate.example' },
  ])
    t.equal(cross(fields), undefined, JSON.stringify(fields));
  for (const fields of [
    { host, 'sec-fetch-site': 'cross-site' },
    { host, 'sec-fetch-site': 'same-site' },
    { host, 'sec-fetch-site': '' },
    { host, 'sec-fetch-site': ['none', 'cross-site'] },
    { host, origin: 'https://gate.example', 'sec-fetch-site': 'cross-site' },
    { host, origin: 'http://127.0.0.1:4457' },
    { host, origin: 'http://127.0.0.1' },
    { host, origin: 'http://localhost:4456' },
    { host, origin: 'https://evil.example' },
    { host, origin: 'https://gate.example.evil.example' },
    { host, origin: 'null' },
    { host, origin: '' },
    { host: '', origin: '' },
    { host: '', origin: 'file:///a' },
    { host: undefined, origin: 'file:///a' },
    { origin: 'http://127.0.0.1:4456' },
  ])
    t.match(cross(fields), { code: 403, message: /another site/ }, JSON.stringify(fields));
  t.end();
});

t.test('only who has the credential, or without one who is on this machine, may change something', (t) => {
  const local = access({ isLocal: (socket) => socket === SOCKET });
  t.equal(local.write(SOCKET, undefined), undefined);
  t.match(local.write({} as Socket, 'Bearer x'), { code: 403, message: /admin\.tokenFile/ });
  let token = 'secret-token';
  const guarded = access({ isLocal: () => true, token: { reveal: () => token } });
  for (const given of ['Bearer secret-token', 'bearer  secret-token', 'BEARER secret-token'])
    t.equal(guarded.write(SOCKET, given), undefined, given);
  for (const given of [
    ...[undefined, '', 'Bearer', 'Bearer ', 'secret-token', 'Basic secret-token', 'xBearer secret-token'],
    ...[
      'Bearer secret-token ',
      'Bearer secret-token x',
      'Bearer secret-toke',
      'Bearer secret-tokens',
      'Bearersecret-token',
    ],
  ])
    t.match(guarded.write(SOCKET, given), { code: 401, message: /bearer token/ }, `${given}`);
  token = '';
  t.match(guarded.write(SOCKET, 'Bearer '), { code: 401 }, 'an empty token is none');
  t.match(guarded.write(SOCKET, undefined), { code: 401 });
  token = 'next';
  t.equal(guarded.write(SOCKET, 'Bearer next'), undefined, 'it is read anew for each request');
  t.end();
});
