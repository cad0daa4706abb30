import t from 'tap';
import { IntrospectionClient, type ServerAccess } from '../../../src/auth/introspection/client.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import { HttpClient } from '../../../src/outbound/http-client.js';
import { fakeClock } from '../../clock.js';

const ADDRESS = 'http://127.0.0.1:1/';
const PLAIN: Endpoint = { url: ADDRESS, headers: {}, auth: { method: 'none' } };
/** What a gateway may have to fetch before it can introspect. */
const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  'the token is introspected': PLAIN,
  'metadata is read': { ...PLAIN, discovered: true },
  'the token of the gateway is fetched': {
    ...PLAIN,
    auth: {
      method: 'pre_authorization',
      grant: { tokenUrl: ADDRESS, clientId: 'gate', clientSecret: () => 'secret', scope: [] },
    },
  },
};

/** Calls an endpoint where every connection fails with a code. */
async function failing(endpoint: Endpoint, code: string): Promise<unknown> {
  const tls = (): never => {
    throw Object.assign(new Error('no connection'), { code });
  };
  const limits = { timeout: 5_000, connectTimeout: 1_000, maxResponseBytes: 1_000 };
  const remote = new HttpClient({ ...limits, tls });
  const others: ServerAccess = {
    tls,
    send: (call) => remote.call(call),
    verify: () => Promise.reject(new Error('nothing is signed')),
  };
  const client = new IntrospectionClient(
    { ...limits, retries: 0, concurrency: 1, requireContentType: true },
    { clock: fakeClock(), servers: new Map(), others },
  );
  try {
    return await client.call(endpoint, 'a-token', AbortSignal.timeout(5_000)).catch((error) => error);
  } finally {
    await Promise.all([client.close(), remote.close()]);
  }
}

for (const [name, endpoint] of Object.entries(ENDPOINTS)) {
  t.test(`${name}: nobody was asked where this process has nothing left to ask with`, async (t) => {
    for (const code of ['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM'])
      t.match(await failing(endpoint, code), { name: 'CallFailed', unasked: true, alive: false }, code);
    for (const code of ['ECONNREFUSED', 'EHOSTUNREACH', 'CERT_HAS_EXPIRED'])
      t.match(await failing(endpoint, code), { name: 'CallFailed', unasked: false, alive: false }, code);
  });
}
