import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { available } from '../require.js';
import { root } from '../root.js';
import { answered, shell } from './shell.js';
import { startStack } from './stack.js';
import { type Parts, tutorial } from './tutorial.js';

for (const httpbin of ['node', 'python'] as const) {
  t.test(`the tutorial's commands, with the HttpBin in ${httpbin}`, async (t) => {
    if (!available(t, 'curl') || (httpbin === 'python' && !available(t, 'httpbin'))) return;
    const stack = await startStack({ httpbin });
    t.teardown(() => stack.close());
    for (const { says, command, status } of tutorial(stack)) {
      const answer = answered(await shell(command));
      t.equal(answer.status, status, `${says}: ${status}`);
      // A request without a credential is told the realm and no error (RFC 6750 section 3.1).
      if (status === 401) t.match(answer.head, /^www-authenticate: Bearer realm="(?!.*error=)/im);
      if (status === 403)
        t.match(answer.head, /^www-authenticate: Bearer .*error="insufficient_scope".*scope="/im);
      if (status >= 400)
        t.match(JSON.parse(answer.body), { error: { code: status, message: String, reason: String } });
    }
    const posted = tutorial(stack).find(({ command }) => command.includes('/post'))?.command ?? '';
    t.match(JSON.parse(answered(await shell(posted)).body), { form: { 'test data': '' } });
    const log = stack.log.join('\n');
    for (const secret of [stack.tokens.read, stack.tokens.write, stack.credentials.secret])
      t.notMatch(log, secret);
  });
}

t.test('the compose stack prints the same commands', async (t) => {
  const stack = await startStack();
  t.teardown(() => stack.close());
  const { id, secret } = stack.credentials;
  const folder = t.testdir({ client_id: id, client_secret: secret });
  const script = join(root, 'config/tutorial.mjs');
  const { code, stdout } = await shell(
    `'${process.execPath}' '${script}' 4465 ${stack.authorizationServer.publicUrl} '${folder}'`,
  );
  t.equal(code, 0);
  const shown = [...stdout.matchAll(/^# (.*): (\d+)\n(curl .*)$/gm)].map(([, says, status, command]) => ({
    says,
    command: command?.replace(/bearer (?=ory_at_|\w)/gi, 'Bearer '),
    status: Number(status),
  }));
  const token = (words: string) =>
    /Bearer (\S+)"/.exec(shown.find(({ says }) => says === words)?.command ?? '')?.[1];
  const tokens = {
    read: token('GET with the "read" scope'),
    write: token('wrong scope: a GET needs "read"'),
  };
  const at = (name: string) => `http://${name}.localhost:4465`;
  const urls = {
    ...stack.urls,
    httpbin: at('httpbin'),
    function: at('function-example'),
    oauth2: at('oauth2'),
  };
  const expected = tutorial({ urls, tokens, credentials: stack.credentials } as Parts);
  t.same(
    shown,
    expected.map((step) => ({ ...step, command: step.command.replace('bearer', 'Bearer') })),
  );
  const { body } = await request(`${stack.urls.httpbin}/headers`, {
    dispatcher: stack.dispatcher,
    headers: { authorization: `Bearer ${tokens.read}` },
  });
  t.match(await body.json(), { headers: {} }, 'the tokens are real ones');
});

t.test('the certificate, the token endpoint, and the end of it all', async (t) => {
  if (!available(t, 'curl')) return;
  const stack = await startStack();
  for (const url of [stack.urls.httpbin, stack.urls.function, stack.urls.oauth2]) {
    const answer = answered(await shell(`curl -si --cacert ${stack.caFile} ${url}/`));
    t.ok(answer.status >= 200);
    t.equal((await shell(`curl -si ${url}/`)).code, 60, 'curl: the certificate cannot be verified');
  }
  const { statusCode, body } = await request(`${stack.urls.httpbin}/headers`, {
    dispatcher: stack.dispatcher,
  });
  await body.dump();
  t.equal(statusCode, 401);

  const token = await stack.token('read write');
  const answer = await request(`${stack.urls.httpbin}/headers`, {
    dispatcher: stack.dispatcher,
    headers: { authorization: `Bearer ${token}` },
  });
  t.equal(answer.statusCode, 200, 'the token endpoint behind the gateway is the one behind it');
  t.match(await answer.body.json(), { headers: { Host: String } });
  t.equal(stack.authorizationServer.introspections.filter((each) => each.token === token).length, 1);

  // Nothing of the stack is left when it is closed.
  await stack.close();
  for (const url of [
    stack.urls.admin,
    stack.authorizationServer.adminUrl,
    ...Object.values(stack.urls.upstreams),
  ]) {
    await t.rejects(request(url), { code: 'ECONNREFUSED' });
  }
});
