import t from 'tap';
import type { Reply } from '../../src/model/outbound.js';
import { fetchMetadata, MetadataError, type MetadataUse } from '../../src/outbound/server-metadata.js';

/** Reads the metadata from a server that answers as told, and collects the URLs that were asked. */
async function read(issuer: string, use: MetadataUse, replies: readonly Reply[]) {
  const asked: string[] = [];
  const metadata = await fetchMetadata(issuer, use, ({ url, method }) => {
    asked.push(`${method} ${url}`);
    return replies[asked.length - 1] as Reply;
  }).catch((error: unknown) => error as MetadataError);
  return { asked, metadata };
}

/** A 200 with a document. */
function document(fields: object): Reply {
  return { ok: true, status: 200, body: JSON.stringify(fields) };
}

const ABSENT: Reply = { ok: true, status: 404, body: '' };

t.test(
  'an issuer has its metadata at two places, and what it is read for decides which is first',
  async (t) => {
    for (const [issuer, oauth, openid] of [
      [
        'https://as.example/a/b/',
        'GET https://as.example/.well-known/oauth-authorization-server/a/b',
        'GET https://as.example/a/b/.well-known/openid-configuration',
      ],
      [
        'https://as.example',
        'GET https://as.example/.well-known/oauth-authorization-server',
        'GET https://as.example/.well-known/openid-configuration',
      ],
    ] as const) {
      const found = document({ issuer, jwks_uri: 'https://as.example/k' });
      for (const [use, first, second] of [
        ['introspection', oauth, openid],
        ['keys', openid, oauth],
      ] as const) {
        t.same(await read(issuer, use, [found]), {
          asked: [first],
          metadata: { jwksUrl: 'https://as.example/k' },
        });
        t.same(await read(issuer, use, [ABSENT, found]), {
          asked: [first, second],
          metadata: { jwksUrl: 'https://as.example/k' },
        });
      }
    }
  },
);

t.test('a server that fails is not asked for the other document', async (t) => {
  const down: Reply = { ok: false, cause: 'it answered 500', retryAfter: 7 };
  const { asked, metadata } = await read('https://as.example', 'keys', [down]);
  t.equal(asked.length, 1);
  t.ok(metadata instanceof MetadataError);
  t.equal((metadata as MetadataError).reply, down);
});

t.test('a server with neither document is told of by its status', async (t) => {
  const { asked, metadata } = await read('https://as.example', 'keys', [
    { ok: true, status: 403, body: '' },
    ABSENT,
  ]);
  t.equal(asked.length, 2);
  t.match(metadata, { name: 'MetadataError', message: /answered 404/ });
});

t.test('a document of another issuer is refused, and the other place is not tried', async (t) => {
  for (const wrong of ['https://as.example/', 'https://AS.example', 'https://evil.example', undefined]) {
    const { asked, metadata } = await read('https://as.example', 'introspection', [
      document({ issuer: wrong }),
      document({ issuer: 'https://as.example' }),
    ]);
    t.equal(asked.length, 1);
    t.match(metadata, { name: 'MetadataError', message: /issuer/ }, String(wrong));
  }
});

t.test('an issuer with https never sends anybody to http', async (t) => {
  const keysOf = async (issuer: string, uri: unknown) =>
    (await read(issuer, 'keys', [document({ issuer, jwks_uri: uri })])).metadata;
  for (const [issuer, uri] of [
    ['https://as.example', 'https://keys.example/k'],
    ['http://as.example', 'http://as.example/k'],
    ['http://as.example', 'https://as.example/k'],
  ] as const)
    t.same(await keysOf(issuer, uri), { jwksUrl: uri });
  t.same(await keysOf('https://as.example', undefined), {});
  for (const uri of [
    'http://as.example/k',
    'file:///k',
    'k',
    5,
    null,
    'https://u@as.example/k',
    'https://a/#k',
  ]) {
    for (const issuer of ['https://as.example', 'HTTPS://as.example'])
      t.ok((await keysOf(issuer, uri)) instanceof MetadataError, `${issuer} ${uri}`);
  }
});
