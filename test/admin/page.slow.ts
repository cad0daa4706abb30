import t from 'tap';
import { request } from 'undici';
import { ask } from '../ask.js';
import { fakeClock } from '../clock.js';
import { apiRule, rule, startTestGateway } from '../gateway.js';
import { available } from '../require.js';
import { launch, seen, visit } from './browser.js';

// A real Chromium uses the page. How it looks is in screenshots.slow.ts.

const HOSTILE = '<img src=x onerror=window.hacked=1>';

const RULES = apiRule('gate.example', [
  rule('/.*', ['GET'], 'read'),
  rule('/post', ['POST'], 'write'),
  rule('/admin(/.*)?', ['GET'], 'admin'),
  { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
]);

t.test('the page shows rules, counters and a denied request with its reason', async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, { rules: RULES });
  const { page, complaints, elsewhere } = await visit(await launch(t), gate);
  const row = (text: string) => page.locator('#rules tr', { hasText: text });
  t.match(
    await seen(row('default/gate#1')),
    /gate#1\s+rules\.yaml:1:\d+\s+gate\.example\s+POST \/post\s+oauth2_introspection write\s+http:.*\s0\s+0/s,
  );
  t.match(await seen(page.locator('#proof')), /proved.*4 rules on 1 host .*overlap: specific/);
  await page.getByText('Which rule contains which').click();
  t.match(
    await seen(page.locator('.boxes > .outer').first()),
    /GET \/\.\*.*default\/gate#0 on gate\.example.*GET \/admin.*gate#2.*GET \/open.*gate#3/s,
    'the two rules are drawn inside the catch-all',
  );

  await ask(gate, '/headers', { token: 'good-read' });
  const denied = page.locator('#decisions tr', {
    hasText: 'insufficient_scope the token lacks a required scope',
  });
  await ask(gate, '/headers?secret=1', { token: 'good-write' });
  await denied.waitFor();
  t.match(await seen(denied), /denied\s+403\s+GET gate\.example\/headers\s+.*default\/gate#0\s+c-write/s);
  await page.locator('#rules tr', { hasText: /gate#0.*1\s*1$/s }).waitFor();

  t.comment('details, and the explanation of the very request');
  await denied.getByRole('button', { name: /^Details of GET gate.example\/headers/ }).press('Enter');
  const details = page.locator('#decisions .details');
  t.match(
    await seen(details),
    /Request ID\s+[0-9a-f-]{36}.*Peer\s+127\.0\.0\.1.*Subject\s+writer.*Introspection\s+miss, .* ms.*decision .* ms.*total/s,
  );
  const advice = details.getByRole('link', { name: 'What to do about insufficient_scope' });
  t.match(await advice.getAttribute('href'), /docs\/errors\.md#insufficient_scope$/);
  await details.getByRole('button', { name: 'Explain this request' }).click();
  await page.locator('#answer').getByText('403 insufficient_scope').waitFor();
  t.equal(await page.getByLabel('URL').inputValue(), 'https://gate.example/headers');

  for (const [path, question] of [
    ['/open', {}],
    ['/nowhere', { method: 'PUT' }],
    ['/a%2Fb', { token: 'good-read' }],
    ['/admin/users', { token: 'good-admin' }],
  ] as const)
    await ask(gate, path, question);
  await page.locator('#decisions tr', { hasText: '/nowhere' }).waitFor();

  t.comment('explain');
  await page.getByLabel('URL').fill('https://gate.example/admin/x');
  await page.getByLabel('Scopes of the token').fill('read');
  await page.getByRole('button', { name: 'Explain', exact: true }).click();
  await page.locator('#answer').getByText('a more specific rule decides').waitFor();
  t.match(await seen(page.locator('#answer')), /denied.*default\/gate#2 decides/s);
  await page.getByLabel('Scopes of the token').fill('admin');
  await page.getByLabel('Scopes of the token').press('Enter');
  await page.getByText('the request goes to').waitFor();
  await page.getByLabel('The request carries a token').uncheck();
  await page.getByRole('button', { name: 'Explain', exact: true }).click();
  await page.getByText('401 no_token').waitFor();
  await page.getByLabel('URL').fill('nonsense');
  await page.getByRole('button', { name: 'Explain', exact: true }).click();
  await page.getByText('is not an absolute http or https URL').waitFor();

  t.comment('filters, and pausing');
  const rows = page.locator('#decisions tr:not(.details)');
  await page.locator('#outcome').selectOption('notAllowed');
  t.equal(await rows.count(), 3);
  t.equal(await page.locator('#decisions').getByText('allowed', { exact: true }).count(), 0);
  await page.locator('#by-rule').selectOption('default/gate#0');
  t.equal(await rows.count(), 2);
  await page.getByRole('button', { name: 'Clear filters' }).click();
  t.equal(await rows.count(), 6);
  await page.getByLabel('Search').fill('put nowhere');
  t.equal(await rows.count(), 1);
  await page.getByLabel('Search').fill('C-WRITE');
  t.equal(await rows.count(), 1, 'clients are searched, in any case');
  await page.getByRole('button', { name: 'Clear filters' }).click();
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.locator('#decisions-count', { hasText: 'paused' }).waitFor();
  await ask(gate, '/open?later', {});
  await page.locator('#rules tr', { hasText: /gate#3.*2\s*0$/s }).waitFor();
  t.equal(await rows.count(), 6, 'rows stay while the page is paused, and counters go on');
  await page.getByRole('button', { name: 'Resume' }).click();
  await rows.nth(6).waitFor();

  t.comment('rules: filter, sort, and their decisions');
  await page.getByRole('button', { name: 'Allowed', exact: true }).click();
  t.match(await seen(page.locator('#rules tr').first()), /gate#3/);
  t.equal(await page.locator('#rules-table th[aria-sort]').getAttribute('aria-sort'), 'descending');
  await page.locator('#rule-search').fill('post write');
  t.equal(await page.locator('#rules tr').count(), 1);
  await page.locator('#rules .toggle').click();
  await page.getByRole('button', { name: 'Decisions of this rule' }).click();
  t.equal(await page.locator('#by-rule').inputValue(), 'default/gate#1');

  t.notMatch(await page.content(), /good-(read|write|admin)|secret=1/, 'no token and no query');
  t.same(elsewhere, [], 'it asks no other host');
  // The question that makes no sense is answered with 400, and the browser says so.
  t.same(
    complaints.filter((text) => !/status of 400/.test(text)),
    [],
  );
});

t.test('the cache is purged from the page, with the credential where one is set', async (t) => {
  if (!available(t, 'chromium')) return;
  const folder = t.testdir({ token: 'admin-secret\n' });
  const gate = await startTestGateway(t, {
    rules: RULES,
    settings: { admin: { tokenFile: `${folder}/token` } },
  });
  const { page } = await visit(await launch(t), gate);
  await ask(gate, '/headers', { token: 'good-read' });
  const purge = page.getByRole('button', { name: 'Purge' });
  await purge.click();
  await page
    .locator('#purge-result', { hasText: 'This needs the bearer token of admin.tokenFile' })
    .waitFor();
  await page.getByLabel('Token of admin.tokenFile').fill('admin-secret');
  await page.getByLabel('What').selectOption('token');
  await page.locator('#purge-value').fill('good-read');
  t.equal(await page.locator('#purge-value').getAttribute('type'), 'password');
  await purge.click();
  await page.locator('#purge-result', { hasText: '1 cached answers removed' }).waitFor();
  t.equal(await page.locator('#purge-value').inputValue(), '', 'the token does not stay on the page');
  await page.locator('#setting-search').fill('admin.tokenFile');
  t.match(await seen(page.locator('#settings')), /admin\.tokenFile\s+.*token/);
  t.notMatch(await page.content(), /admin-secret|good-read/);
});

t.test('trouble shows on top, and goes when it is over', async (t) => {
  if (!available(t, 'chromium')) return;
  const clock = fakeClock();
  const gate = await startTestGateway(t, { rules: RULES, clock });
  const { page } = await visit(await launch(t), gate);
  t.equal(await seen(page.locator('#state')), 'serving');
  gate.endpoint.fault = (_message, response) => response.writeHead(500).end();
  for (let i = 0; i < 5; i++) await ask(gate, '/headers', { token: `fresh-${i}` });
  await page.getByText(`The circuit breaker of ${gate.endpoint.url} is open`).waitFor();
  t.equal(await seen(page.locator('#state')), 'serving, with errors');
  gate.endpoint.fault = undefined;
  clock.advance(61_000);
  await ask(gate, '/headers', { token: 'good-read' });
  await page.locator('.trouble').waitFor({ state: 'detached' });
  await page.locator('#state', { hasText: /^serving$/ }).waitFor();
  t.pass();
});

t.test("light and dark are the reader's choice, and it is kept", async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, { rules: RULES });
  const { page } = await visit(await launch(t), gate);
  const isDark = () => page.evaluate(`getComputedStyle(document.body).backgroundColor === 'rgb(15, 20, 26)'`);
  t.equal(await isDark(), false);
  await page.getByLabel('Theme').selectOption('dark');
  t.equal(await isDark(), true);
  await page.reload();
  await page.locator('#state', { hasText: 'serving' }).waitFor();
  t.equal(await isDark(), true);
  await page.getByLabel('Theme').selectOption('auto');
  t.equal(await isDark(), false);
});

t.test('a row with the focus keeps it while others come', async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, { rules: RULES });
  const { page } = await visit(await launch(t), gate);
  await ask(gate, '/open');
  const toggle = page.getByRole('button', { name: /^Details of GET gate.example\/open/ });
  await toggle.focus();
  await ask(gate, '/nowhere', { method: 'PUT' });
  await page.locator('#decisions tr', { hasText: '/nowhere' }).waitFor();
  t.match(await page.evaluate('document.activeElement.getAttribute("aria-label")'), /gate\.example\/open/);
});

t.test('rules, paths and claims that are markup are text', async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [
      rule('/<img src=x onerror=window\\.hacked=1>|/.*', ['GET'], 'read'),
      rule('/<b>', ['GET'], 'read'),
    ]),
    tokens: { claims: { scope: 'x', sub: HOSTILE, client_id: `${HOSTILE}\u202e\u0000` } },
  });
  const { page, complaints } = await visit(await launch(t), gate);
  await page.locator('#rules tr', { hasText: '<img src=x onerror=' }).waitFor();
  await ask(gate, '/headers', { token: 'claims' });
  await ask(gate, `/${encodeURIComponent(HOSTILE)}`, { token: 'claims' });
  await page.locator('#decisions tr', { hasText: HOSTILE }).first().waitFor();
  t.match(await seen(page.locator('#decisions')), /\\u202e\\u0000/, 'what cannot be seen is shown');
  for (const toggle of await page.locator('.toggle').all()) await toggle.click();
  t.match(await seen(page.locator('#decisions .details').first()), /Subject\s+<img src=x onerror=/);
  await page.getByText('Which rule contains which').click();
  t.match(await seen(page.locator('#picture')), /<img src=x onerror=.*<b>/s);
  await page.getByLabel('URL').fill(`https://gate.example/${HOSTILE}`);
  await page.getByRole('button', { name: 'Explain', exact: true }).click();
  await page.locator('#answer').getByText('denied').waitFor();
  t.equal(await page.locator('img').count(), 0);
  t.equal(await page.evaluate('window.hacked'), undefined);
  t.same(complaints, []);
});

t.test('even markup that got in would do nothing', async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, { rules: RULES });
  const { page } = await visit(await launch(t), gate);
  const tried = await page.evaluate(`(() => {
    const results = {};
    try { document.body.innerHTML += '<p>'; results.markup = true; } catch { results.markup = false; }
    const script = document.createElement('script');
    try { script.textContent = 'window.hacked = 1'; document.body.append(script); } catch {}
    results.hacked = window.hacked === 1;
    return results;
  })()`);
  t.same(tried, { markup: false, hacked: false });
});

t.test('the page tells when the gateway drains and when it is gone', async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, { rules: RULES });
  const { page } = await visit(await launch(t), gate);
  await gate.gateway.close();
  await page.getByText('no connection').waitFor();
  t.pass();
});

t.test('one answer holds the whole page', async (t) => {
  const gate = await startTestGateway(t);
  const { headers, body } = await request(gate.adminUrl);
  const text = await body.text();
  t.match(headers['content-type'], /^text\/html/);
  t.match(
    headers['content-security-policy'],
    /^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+';/,
  );
  t.notMatch(headers['content-security-policy'], /unsafe/);
  t.notMatch(text, /\son[a-z]+="|\/\* (style|script) \*\//, 'no inline handlers');
  t.notMatch(text, /\ssrc=|<link(?! rel="icon" href="data:,")|url\(|@import|import\(/, 'no outside assets');
});
