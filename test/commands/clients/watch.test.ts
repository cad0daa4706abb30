import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { start } from '../../stack/authorization-server.js';
import { until } from '../../until.js';
import { startCommand } from '../process.js';

const CLIENT = `apiVersion: hydra.ory.sh/v1alpha1
kind: OAuth2Client
metadata: { name: mine, namespace: default }
spec: { grantTypes: [client_credentials], scope: read, secretName: my-secret }
`;

t.test(
  '--watch gives a Hydra that lost its clients the same ones again, and tells only what changes',
  async (t) => {
    const server = await start();
    t.teardown(() => server.close());
    const folder = t.testdir({ 'client.yaml': CLIENT });
    const file = join(folder, 'client.yaml');
    const child = startCommand(t, [
      'clients',
      'apply',
      '--admin-url',
      server.adminUrl,
      '--out',
      join(folder, 'out'),
      '--watch',
      '--interval',
      '20ms',
      file,
    ]);
    await until(() => child.out === 'default/mine created\n');
    const read = (name: string) => readFileSync(join(folder, 'out/my-secret', name), 'utf8');
    const [id, secret] = [read('client_id'), read('client_secret')];

    await server.restart({ forget: true });
    await until(
      () => child.out.endsWith('created\ndefault/mine created\n') || child.out.includes('unchanged'),
    );
    t.match(server.clients.get(id), { client_secret: secret, scope: 'read' });

    writeFileSync(file, CLIENT.replace('scope: read', 'scope: read write'));
    await until(() => child.out.endsWith('updated\n'));
    t.match(server.clients.get(id), { client_secret: secret, scope: 'read write' });

    await server.stop();
    await until(() => /apply-failed .*(ECONNREFUSED|UND_ERR_SOCKET|ECONNRESET)/.test(child.err));
    await server.restart();
    await until(() => child.out.endsWith('unchanged\n'));
    t.ok(child.err.split('\n').length < 6, `an error is told once: ${child.err}`);

    writeFileSync(file, 'kind: [');
    await until(() => /client.yaml:1:\d+ error yaml-syntax/.test(child.err));
    child.kill('SIGTERM');
    t.equal(await child.code, 0);
    t.notMatch(child.out + child.err, secret);
  },
);
