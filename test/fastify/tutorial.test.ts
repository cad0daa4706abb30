import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import createApp from 'fastify';
import t from 'tap';
import scopegate from '../../src/fastify/plugin.js';
import { available } from '../require.js';
import { root } from '../root.js';
import { makeCertificate } from '../stack/certificate.js';
import { answered, shell } from '../stack/shell.js';
import { HOSTS, startStack } from '../stack/stack.js';
import { tutorial } from '../stack/tutorial.js';

t.test('the tutorial’s commands get the tutorial’s answers from the plugin', async (t) => {
  if (!available(t, 'curl')) return;
  const stack = await startStack();
  t.teardown(() => stack.close());
  const { cert, key } = await makeCertificate([...HOSTS]);
  const app = createApp({ https: { cert, key } });
  t.teardown(() => app.close());
  await app.register(scopegate, {
    settings: join(root, 'config/stack.yaml'),
    environment: {
      SCOPEGATE_SERVICES: JSON.stringify({
        httpbin: stack.urls.upstreams.httpbin,
        function: stack.urls.upstreams.function,
        'ory-hydra-public': stack.authorizationServer.publicUrl,
      }),
      SCOPEGATE_INTROSPECTION_URL: stack.authorizationServer.introspectionUrl,
    },
    destination: { write() {} },
    upstreams: true,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const at = (url: string): string => url.replace(`:${stack.port}`, `:${port}`);
  const { httpbin, function: sample, oauth2 } = stack.urls;
  const urls = { ...stack.urls, httpbin: at(httpbin), function: at(sample), oauth2: at(oauth2) };
  for (const { says, command, status } of tutorial({ ...stack, urls })) {
    t.match(command, `:${port}`);
    const answer = answered(await shell(command));
    t.equal(answer.status, status, `${says}: ${status}`);
    if (status === 401) t.match(answer.head, /^www-authenticate: Bearer realm="(?!.*error=)/im);
    if (status === 403)
      t.match(answer.head, /^www-authenticate: Bearer .*error="insufficient_scope".*scope="/im);
    if (status >= 400)
      t.match(JSON.parse(answer.body), { error: { code: status, message: String, reason: String } });
  }
});
