import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { ask } from '../ask.js';
import { apiRule, rule, startTestGateway, type TestGateway } from '../gateway.js';
import { available } from '../require.js';

// A real Chromium looks at the page. TEST_SCREENSHOTS=FOLDER keeps what it saw.

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const HOSTILE = '<img src=x onerror=window.hacked=1>';

async function launch(t: Test): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  t.teardown(() => browser.close());
  return browser;
}

/** The page, and everything it complains about or asks elsewhere. */
async function visit(
  browser: Browser,
  { adminUrl }: TestGateway,
  colorScheme: 'light' | 'dark' = 'light',
): Promise<{ page: Page; complaints: string[]; elsewhere: string[] }> {
  const context = await browser.newContext({
    colorScheme,
    viewport: { width: 1360, height: 1500 },
    locale: 'en-GB',
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  const elsewhere: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (sent) => {
    if (!sent.url().startsWith(adminUrl) && !sent.url().startsWith('data:')) elsewhere.push(sent.url());
  });
  await page.goto(adminUrl);
  await page.getByText('serving', { exact: true }).waitFor();
  return { page, complaints, elsewhere };
}

/** What a person can read of an element, table cells apart. */
const seen = (locator: Locator): Promise<string> =>
  // biome-ignore lint/performance/useDomNodeTextContent: textContent joins cells, and holds what is hidden
  locator.innerText();

async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env.TEST_SCREENSHOTS;
  if (folder === undefined) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

const RULES = apiRule('gate.example', [
  rule('/.*', ['GET'], 'read'),
  rule('/post', ['POST'], 'write'),
  rule('/admin(/.*)?', ['GET'], 'admin'),
  { path: '/open', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
]);

for (const scheme of ['light', 'dark'] as const) {
  t.test(`the page shows rules, counters and a denied request with its reason, ${scheme}`, async (t) => {
    if (!available(t, 'chromium')) return;
    const gate = await startTestGateway(t, { rules: RULES });
    const { page, complaints, elsewhere } = await visit(await launch(t), gate, scheme);
    const row = (text: string) => page.locator('#rules tr', { hasText: text });
    t.match(
      await seen(row('default/gate#1')),
      /gate\.example\s+POST\s+\/post\s+oauth2_introspection\s+write\s+http:.*\s0\s+0/,
    );
    t.match(await seen(page.locator('#proof')), /proved.*4 rules on 1 host .*overlap: specific/);
    t.match(
      await seen(page.locator('#proof')),
      /match a part of another rule's requests and decide those: .*default\/gate#2/,
    );

    await ask(gate, '/headers', { token: 'good-read' });
    const denied = page.locator('#decisions tr', {
      hasText: 'insufficient_scope: the token lacks a required scope',
    });
    await ask(gate, '/headers?secret=1', { token: 'good-write' });
    const answered = Date.now();
    await denied.waitFor();
    const waited = Date.now() - answered;
    t.ok(waited < 1_000, `a denied request appears within a second: ${waited} ms`);
    t.match(await seen(denied), /denied\s+403\s+GET gate\.example\/headers\s+.*default\/gate#0\s+c-write/s);
    await page.locator('#rules tr', { hasText: /default\/gate#0.*1\s*1$/s }).waitFor();

    for (const [path, question] of [
      ['/open', {}],
      ['/nowhere', { method: 'PUT' }],
      ['/a%2Fb', { token: 'good-read' }],
      ['/admin/users', { token: 'good-admin' }],
    ] as const)
      await ask(gate, path, question);
    await page.locator('#decisions tr', { hasText: '/nowhere' }).waitFor();

    await page.getByLabel('URL').fill('https://gate.example/admin/x');
    await page.getByLabel('Scopes of the token').fill('read');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.getByText('403 insufficient_scope').waitFor();
    t.match(
      await seen(page.locator('#answer')),
      /denied.*by default\/gate#2[\s\S]*a more specific rule decides/,
    );
    await screenshot(page, `page-${scheme}`);
    await page.getByLabel('Scopes of the token').fill('admin');
    await page.getByLabel('Scopes of the token').press('Enter');
    await page.getByText('forwarded to').waitFor();
    await page.getByLabel('The request carries a token').uncheck();
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.getByText('401 no_token').waitFor();
    await page.getByLabel('URL').fill('nonsense');
    await page.getByRole('button', { name: 'Explain' }).click();
    await page.getByText('is not an absolute http or https URL').waitFor();

    await page.getByLabel('Only denied and failed requests').check();
    t.equal(await page.locator('#decisions tr', { hasText: 'allowed' }).count(), 0);
    t.notMatch(await page.content(), /good-(read|write|admin)|secret=1/, 'no token and no query');
    t.same(elsewhere, [], 'it asks no other host');
    // The question that makes no sense is answered with 400, and the browser says so.
    t.same(
      complaints.filter((text) => !/status of 400/.test(text)),
      [],
    );
  });
}

t.test('rules, paths and claims that are markup are text', async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, {
    rules: apiRule('gate.example', [rule('/<img src=x onerror=window\\.hacked=1>|/.*', ['GET'], 'read')]),
    tokens: { claims: { scope: 'x', sub: HOSTILE, client_id: `${HOSTILE}\u202e\u0000` } },
  });
  const { page, complaints } = await visit(await launch(t), gate);
  await page.locator('#rules tr', { hasText: '<img src=x onerror=' }).waitFor();
  await ask(gate, '/headers', { token: 'claims' });
  await ask(gate, `/${encodeURIComponent(HOSTILE)}`, { token: 'claims' });
  await page.locator('#decisions tr', { hasText: HOSTILE }).first().waitFor();
  t.match(await seen(page.locator('#decisions')), /\\u\{202e\}\\u\{0\}/, 'what cannot be seen is shown');
  await page.getByLabel('URL').fill(`https://gate.example/${HOSTILE}`);
  await page.getByRole('button', { name: 'Explain' }).click();
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

t.test('every control has a name, and contrast is enough, light and dark', async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, { rules: RULES });
  await ask(gate, '/headers');
  await ask(gate, '/open');
  const browser = await launch(t);
  for (const scheme of ['light', 'dark'] as const) {
    const { page } = await visit(browser, gate, scheme);
    await page.locator('#decisions tr').nth(1).waitFor();
    const poor = await page.evaluate(`(() => {
      const luminance = (color) => {
        const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map((part) => {
          const value = part / 255;
          return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const backdrop = (element) => {
        for (let each = element; each !== null; each = each.parentElement) {
          const { backgroundColor } = getComputedStyle(each);
          if (!/, 0\\)$/.test(backgroundColor)) return backgroundColor;
        }
        return 'rgb(255, 255, 255)';
      };
      return [...document.querySelectorAll('body *')]
        .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== ''))
        .filter((element) => !['SCRIPT', 'STYLE', 'NOSCRIPT', 'OPTION'].includes(element.tagName))
        .map((element) => {
          const [a, b] = [luminance(getComputedStyle(element).color), luminance(backdrop(element))];
          return { text: element.textContent.slice(0, 30), ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) };
        })
        .filter(({ ratio }) => ratio < 4.5);
    })()`);
    t.same(poor, [], `WCAG 2.2, 1.4.3: ${scheme}`);
    for (const control of await page.locator('input, button').all()) {
      const name = await control.evaluate(
        `(element) => (element.labels?.[0]?.textContent ?? element.textContent ?? '').trim()`.replace(
          /^/,
          '',
        ) as never,
      );
      t.not(name, '', 'a control has a label');
    }
    t.equal(await page.locator('html').getAttribute('lang'), 'en');
    t.equal(await page.locator('h1').count(), 1);
    await page.setViewportSize({ width: 400, height: 800 });
    t.ok(
      await page.evaluate('document.documentElement.scrollWidth <= 400'),
      'no sideways scrolling on a phone',
    );
    await screenshot(page, `phone-${scheme}`);
    await page.close();
  }
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
  t.notMatch(
    text,
    /\son[a-z]+=|https?:\/\/(?!host)|\/\* (style|script) \*\//,
    'no inline handlers, no outside assets',
  );
});
