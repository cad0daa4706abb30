import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { apiRule, rule, startTestGateway } from '../gateway.js';
import { available } from '../require.js';

/** What one fetch of the page came to: its status and what it may read, or that the browser kept it from the page. */
type Outcome = { status: number; total: string | null; secret: string | null } | 'blocked';

/** Asks the gateway as a page of another origin does, and reports. */
const SCRIPT = `
  const ask = async (url, init) => {
    try {
      const answer = await fetch(url, init);
      return { status: answer.status, total: answer.headers.get('x-total'), secret: answer.headers.get('x-secret') };
    } catch {
      return 'blocked';
    }
  };
  (async () => {
    const bearer = (token, more) => ({ headers: { authorization: 'Bearer ' + token, ...more } });
    const results = {
      open: await ask(GATE + '/open', bearer('good-read')),
      refused: await ask(GATE + '/open', bearer('good-write')),
      put: await ask(GATE + '/open', { method: 'PUT', ...bearer('good-write') }),
      field: await ask(GATE + '/open', bearer('good-read', { 'x-other': '1' })),
      closed: await ask(CLOSED + '/open', bearer('good-read')),
      plain: await ask(CLOSED + '/open'),
    };
    await fetch('/result', { method: 'POST', body: JSON.stringify(results) });
  })();
`;

t.test('a page of another origin may call a rule with a policy, and none without', async (t) => {
  if (!available(t, 'chromium')) return;
  const policy = (origin: string) => ({
    allowOrigins: [{ exact: origin }],
    allowMethods: ['GET'],
    allowHeaders: ['Authorization'],
    exposeHeaders: ['X-Total'],
  });
  let told: (results: Record<string, Outcome>) => void = () => {};
  const results = new Promise<Record<string, Outcome>>((resolve) => {
    told = resolve;
  });
  let page = '';
  const site = createServer(async (message, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    if (message.url === '/result') told(JSON.parse(Buffer.concat(chunks).toString()));
    response.writeHead(200, { 'content-type': 'text/html' }).end(message.url === '/' ? page : '');
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;

  const rules = [rule('/open', ['GET'], 'read'), rule('/open', ['PUT'], 'write')];
  const document = JSON.parse(apiRule('127.0.0.1', rules));
  const withPolicy = { ...document, spec: { ...document.spec, corsPolicy: policy(origin) } };
  const respond = (_message: unknown, response: import('node:http').ServerResponse) =>
    void response.writeHead(200, { 'x-total': '5', 'x-secret': 's' }).end('{}');
  const gate = await startTestGateway(t, { rules: JSON.stringify(withPolicy), respond });
  const closed = await startTestGateway(t, { rules: JSON.stringify(document), respond });
  page = `<!doctype html><script>const GATE = '${gate.url}', CLOSED = '${closed.url}';${SCRIPT}</script>`;

  const profile = t.testdir({});
  const browser = spawn(
    'chromium',
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--no-first-run',
      `--user-data-dir=${profile}`,
      `${origin}/`,
    ],
    { stdio: 'ignore', detached: true },
  );
  const ended = once(browser, 'exit');
  t.teardown(async () => {
    // The whole group of this browser's processes, by the id that it was started with.
    if (browser.exitCode === null && browser.pid !== undefined) process.kill(-browser.pid, 'SIGKILL');
    await ended;
    site.closeAllConnections();
    site.close();
  });
  const outcome = await Promise.race([
    results,
    ended.then(() => {
      throw new Error('the browser ended before it had an answer');
    }),
  ]);
  t.same(outcome, {
    open: { status: 200, total: '5', secret: null },
    refused: { status: 403, total: null, secret: null },
    put: 'blocked',
    field: 'blocked',
    closed: 'blocked',
    plain: 'blocked',
  });
  const asked = gate.upstream.received.map(({ method }) => method);
  t.same(asked, ['GET'], 'what the policy forbids never leaves the browser');
});
