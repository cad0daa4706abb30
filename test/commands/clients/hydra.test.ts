import { readdirSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { applyClient } from '../../../src/commands/clients/apply.js';
import { HydraAdmin } from '../../../src/commands/clients/hydra.js';
import { type ClientManifest, readManifests } from '../../../src/commands/clients/manifest.js';
import { listen } from '../../stack/listener.js';

/** A Hydra that answers as the test says, and remembers what it was asked. */
async function hydra(t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const asked: string[] = [];
  const server = await listen({ what: 'Hydra', host: '127.0.0.1', port: 0 }, (request, response) => {
    request.resume();
    asked.push(`${request.method} ${request.url}`);
    answer(request, response);
  });
  t.teardown(() => server.close());
  return { url: server.url, asked };
}

function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function manifest(): ClientManifest {
  const text = `apiVersion: hydra.ory.sh/v1alpha1
kind: OAuth2Client
metadata: { name: a, namespace: b }
spec: { grantTypes: [client_credentials], scope: read, secretName: c }
`;
  return readManifests(text, 'c.yaml').clients[0] as ClientManifest;
}

t.test('answers that are none of Hydra are errors, and redirects are not followed', async (t) => {
  for (const [answer, expected] of [
    [(r) => json(r, 200, ['no client']), /did not return a client/],
    [(r) => json(r, 200, { client_id: '' }), /did not return a client/],
    [(r) => r.writeHead(200).end('<html>'), /did not return a client/],
    [
      (r) => r.writeHead(307, { location: 'http://elsewhere/' }).end(),
      /responded 307 \(redirects are not followed/,
    ],
    [
      (r) => json(r, 500, { error: 'error', error_description: 'broken' }),
      /GET http\S+ failed: Hydra responded 500 \(error: broken\)$/,
    ],
    [(r) => r.writeHead(502).end('bad gateway'), /failed: Hydra responded 502$/],
    [(r) => r.destroy(), /failed: (UND_ERR_SOCKET|ECONNRESET)$/],
    [() => {}, /failed: no response in time$/],
    [(r) => r.writeHead(200).write('{'), /failed: no response in time$/],
  ] as [(response: ServerResponse) => void, RegExp][]) {
    const server = await hydra(t, (_request, response) => answer(response));
    await t.rejects(new HydraAdmin(server.url, undefined, 200).get('id'), {
      name: 'HydraError',
      message: expected,
    });
  }
});

t.test('an answer without end is cut off', async (t) => {
  const chunk = Buffer.alloc(1 << 20, ' ');
  const server = await hydra(t, (_request, response) => {
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  });
  await t.rejects(new HydraAdmin(server.url).get('id'), { message: /the response is larger than \d+ bytes/ });
});

t.test("the list's next page is a query at the same place, whatever the link says", async (t) => {
  const server = await hydra(t, (request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://hydra');
    const page = searchParams.get('page_token') ?? 'first';
    const clients = [
      { client_id: page, owner: 'a/b' },
      { client_id: `other-${page}`, owner: 'somebody/else' },
    ];
    // The third page points at itself: a list that never ends would never be applied.
    const next = page === 'first' ? 'second' : 'third';
    json(response, 200, clients, {
      link: `</admin/clients?page_token=first>; rel="first", <http://elsewhere:1/steal?page_token=${next}>; rel="next"`,
    });
  });
  const found = await new HydraAdmin(server.url).findByOwner('a/b');
  t.strictSame(
    found.map((client) => client.client_id),
    ['first', 'second', 'third'],
  );
  t.strictSame(server.asked, [
    'GET /admin/clients?owner=a%2Fb&page_size=500',
    'GET /admin/clients?page_token=second',
    'GET /admin/clients?page_token=third',
  ]);
});

t.test('a list whose next page never ends is read to where it brings nothing new', async (t) => {
  // Hydra v1, and v2 up to v2.3: a next page after the last one, even of an empty list.
  for (const held of [0, 3]) {
    const server = await hydra(t, (request, response) => {
      const offset = Number(new URL(request.url ?? '', 'http://hydra').searchParams.get('offset'));
      const all = Array.from({ length: held }, (_, i) => ({ client_id: `${i}`, owner: 'a/b' }));
      json(response, 200, all.slice(offset, offset + 2), {
        link: `</clients?limit=2&offset=0>; rel="first",</clients?limit=2&offset=${offset + 2}>; rel="next",</clients?limit=2&offset=${offset - 2}>; rel="prev"`,
      });
    });
    const pages: number[] = [];
    const found = await new HydraAdmin(`${server.url}/clients`).findByOwner('a/b', (page) =>
      pages.push(page),
    );
    t.equal(found.length, held);
    t.equal(server.asked.length, held === 0 ? 1 : 3);
    t.same(pages, held === 0 ? [1] : [1, 2, 3], 'each page is told');
  }
  const same = await hydra(t, (request, response) => {
    const page = Number(new URL(request.url ?? '', 'http://hydra').searchParams.get('page_token'));
    json(response, 200, [{ client_id: 'x', owner: 'a/b' }], {
      link: `<?page_token=${page + 1}>; rel="next"`,
    });
  });
  t.equal((await new HydraAdmin(same.url).findByOwner('a/b')).length, 1, 'a client is told once');
  t.equal(same.asked.length, 2);
});

t.test('a list that goes on and on is given up', async (t) => {
  let page = 0;
  const server = await hydra(t, (_request, response) => {
    page++;
    json(response, 200, [{ client_id: `${page}`, owner: 'a/b' }], {
      link: `<?page_token=${page}>; rel="next"`,
    });
  });
  await t.rejects(new HydraAdmin(server.url).findByOwner('a/b'), { message: /more than 1000 pages/ });
  t.equal(server.asked.length, 1000);
  let now = 0;
  const slow = new HydraAdmin(server.url, undefined, 10_000, () => {
    now += 1_000;
    return now;
  });
  await t.rejects(slow.findByOwner('a/b'), { message: /longer than 120 seconds/ });
});

t.test('ids and owners cannot leave their place in the URL', async (t) => {
  const server = await hydra(t, (_request, response) => json(response, 404, {}));
  await new HydraAdmin(server.url).get('../keys?x=1#');
  t.strictSame(server.asked, ['GET /admin/clients/..%2Fkeys%3Fx%3D1%23']);
});

t.test('a new client that is not as wanted is deleted again, and nothing is written', async (t) => {
  for (const [created, expected] of [
    [
      { client_id: 'x', owner: 'a/b', scope: 'read', grant_types: ['client_credentials'] },
      /created the client without a secret/,
    ],
    [
      { client_id: 'x', client_secret: 's', owner: 'a/b', scope: '', grant_types: ['client_credentials'] },
      /stored other values .*: scope$/,
    ],
    [
      { client_id: 'x', client_secret: 's', scope: 'read', grant_types: ['client_credentials'] },
      /stored other values .*: owner$/,
    ],
  ] as const) {
    const out = t.testdir();
    const server = await hydra(t, (request, response) => {
      if (request.method === 'GET') json(response, 200, []);
      else if (request.method === 'POST') json(response, 201, created);
      else response.writeHead(204).end();
    });
    await t.rejects(applyClient(manifest(), new HydraAdmin(server.url), out), { message: expected });
    t.equal(server.asked.at(-1), 'DELETE /admin/clients/x');
    t.strictSame(readdirSync(join(out, 'c')), []);
  }
});
