import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { ask } from '../ask.js';
import { startChild } from '../child.js';
import { apiRule, rule } from '../gateway.js';
import { type Stage, stages, variables } from '../image/dockerfile.js';
import { makeCertificate } from '../stack/certificate.js';

/** Whether this Node heeds NODE_USE_SYSTEM_CA. */
function heedsVariable(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 6) || (major === 22 && minor >= 19);
}

t.test('whose certificates are taken without a ca is what docs/operations.md says', async (t) => {
  const { cert, key, ca } = await makeCertificate(['127.0.0.1']);
  const server = createServer({ cert, key }, (_message, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"active":true,"scope":"read"}'),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const settings = {
    introspection: { url: `https://127.0.0.1:${port}/introspect` },
    services: { default: `https://127.0.0.1:${port}` },
  };
  const rules = apiRule('gate.example', [rule('/.*', ['GET'], 'read')]);
  const folder = t.testdir({ 'system.crt': ca });
  const system = { SSL_CERT_FILE: join(folder, 'system.crt'), SSL_CERT_DIR: folder };
  const status = async (environment: Readonly<Record<string, string>>) =>
    (await ask(await startChild(t, settings, rules, environment), '/x', { token: 't' })).status;

  t.equal(await status(system), 503, 'Node does not look into the store of the system by itself');
  const image = variables(stages().at(-1) as Stage);
  const { NODE_USE_SYSTEM_CA: flag = '' } = image;
  t.equal(flag, '1', 'the image tells it to');
  t.match(image.SSL_CERT_FILE, /^\/etc\/ssl\/certs\//, 'and where the store is');
  const expected = heedsVariable() ? 200 : 503;
  t.equal(await status({ ...system, NODE_USE_SYSTEM_CA: flag }), expected, process.version);
  t.equal(await status({ NODE_EXTRA_CA_CERTS: system.SSL_CERT_FILE }), 200, 'any Node takes these as well');
});
