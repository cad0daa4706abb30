import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import t from 'tap';
import { request } from 'undici';
import { startGateway } from '../../src/app/gateway.js';
import { loadOptions } from '../../src/commands/load.js';
import { loadRules } from '../../src/rules/load.js';
import { ask } from '../ask.js';
import { type FakeClock, fakeClock } from '../clock.js';
import { apiRule, rule, startTestGateway, type TestGateway } from '../gateway.js';
import { available } from '../require.js';
import { root } from '../root.js';
import { axeFindings, type Look, launch, overflowing, visit } from './browser.js';

// The page in eight states: each is kept in build/screenshots/ for people to look at, and axe-core looks at it here.

const FOLDER = join(root, 'build/screenshots');
const SHOP = [
  apiRule(
    'shop.example',
    [
      rule('/.*', ['GET'], 'shop.read'),
      rule('/orders(/.*)?', ['GET'], 'orders.read'),
      rule('/orders/[0-9]+/invoice', ['GET'], 'invoices.read'),
      rule('/orders', ['POST'], 'orders.write'),
      rule('/admin(/.*)?', ['GET', 'POST'], 'admin'),
      { path: '/assets/.*', methods: ['GET'], accessStrategies: [{ handler: 'allow' }] },
    ],
    'shop',
  ),
  apiRule(
    'api.example',
    [rule('/v1/stock/.*', ['GET'], 'stock.read'), rule('/v1/prices', ['GET'], 'prices.read')],
    'api',
  ),
].join('\n---\n');

const TOKENS = Object.fromEntries(
  ['storefront', 'mobile-app', 'reporting'].flatMap((client) =>
    Array.from({ length: 8 }, (_, i) => [
      `${client}-${i}`,
      {
        scope: client === 'reporting' ? 'stock.read' : 'shop.read orders.read orders.write prices.read',
        sub: `user-${i}`,
        client_id: client,
      },
    ]),
  ),
);

/** Requests of every kind, by how they are asked; the numbers are of one step of five seconds. */
async function traffic(gate: TestGateway, step: number): Promise<void> {
  const wave = 2 + Math.round(1.5 * Math.sin(step / 14) + 1.5);
  const token = (i: number) => `${['storefront', 'mobile-app'][i % 2]}-${(step + i) % 8}`;
  const calls: Promise<unknown>[] = [];
  const to = (host: string, path: string, more: object = {}) => ask(gate, path, { host, ...more });
  for (let i = 0; i < wave; i++)
    calls.push(to('shop.example', `/products/${step * 7 + i}`, { token: token(i) }));
  calls.push(to('shop.example', `/orders/${1_000 + step}`, { token: token(step) }));
  calls.push(to('api.example', '/v1/prices', { token: token(step) }));
  if (step % 3 === 0) calls.push(to('shop.example', '/assets/app.css'));
  if (step % 4 === 0) calls.push(to('api.example', `/v1/stock/${step}`, { token: token(1) }));
  if (step % 7 === 0) calls.push(to('shop.example', '/orders', { token: `gone-${step}` }));
  if (step % 9 === 0) calls.push(to('shop.example', '/admin/users', { token: token(0) }));
  if (step % 11 === 0) calls.push(to('shop.example', '/checkout', { method: 'PUT' }));
  if (step > 100 && step < 112) calls.push(to('shop.example', '/broken', { token: token(2) }));
  await Promise.all(calls);
}

/** A quarter of an hour of a shop, in seconds: the gateway's clock is turned. */
async function quarterHour(gate: TestGateway, clock: FakeClock): Promise<void> {
  for (let step = 0; step < 181; step++) {
    await traffic(gate, step);
    clock.advance(5_000);
    await (await request(`${gate.adminUrl}/series`)).body.dump();
  }
}

let running: Promise<Browser> | undefined;

/** The one browser of all tests here. */
function chromium(): Promise<Browser> {
  running ??= launch(t);
  return running;
}

const started = () => fakeClock(Math.floor(Date.now() / 1_000) - 905);

async function shop(t: Parameters<typeof startTestGateway>[0], clock: FakeClock): Promise<TestGateway> {
  return startTestGateway(t, {
    clock,
    rules: SHOP,
    tokens: TOKENS,
    respond: (message, response) => {
      const isBroken = message.url === '/broken';
      setTimeout(() => response.writeHead(isBroken ? 503 : 200).end('{}'), (message.url?.length ?? 0) % 17);
    },
  });
}

/** Looks at the page in one state, keeps a picture of it, and lets axe-core look. */
async function look(
  t: Pick<typeof import('tap').t, 'same'>,
  browser: Browser,
  gate: Pick<TestGateway, 'adminUrl'>,
  name: string,
  how: Look,
  prepare: (page: Page) => Promise<void> = async () => {},
  after: (page: Page) => Promise<void> = async () => {},
): Promise<void> {
  const { page, complaints, elsewhere } = await visit(browser, gate, how);
  await page.locator('#charts .tick').first().waitFor();
  await prepare(page);
  mkdirSync(FOLDER, { recursive: true });
  // A sticky head would be drawn where the page is scrolled to.
  await page.evaluate('scrollTo(0, 0)');
  await page.screenshot({ path: join(FOLDER, `${name}.png`), fullPage: true });
  t.same(await axeFindings(page), [], `axe has no finding: ${name}`);
  await after(page);
  t.same(await overflowing(page), [], `nothing sticks out: ${name}`);
  t.same(complaints, [], `no complaint: ${name}`);
  t.same(elsewhere, [], `no other host is asked: ${name}`);
  await page.context().close();
}

t.test('the page of a gateway with traffic: light, dark, narrow and wide', async (t) => {
  if (!available(t, 'chromium')) return;
  const clock = started();
  const gate = await shop(t, clock);
  await quarterHour(gate, clock);
  const browser = await chromium();
  const open = async (page: Page) => {
    await page.locator('#decisions tr').nth(20).waitFor();
    await page.locator('#outcome').selectOption('notAllowed');
    await page.locator('#decisions .toggle').first().click();
    await page.getByText('Which rule contains which').click();
  };
  // What the README shows; docs/ has a copy of these two.
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page } = await visit(browser, gate, { colorScheme, width: 1_400, height: 700 });
    await page.locator('#decisions tr').nth(20).waitFor();
    await page.locator('#charts .tick').first().waitFor();
    await page.screenshot({ path: join(FOLDER, `admin-${colorScheme}.png`) });
    await page.context().close();
  }
  await look(t, browser, gate, 'light', {}, open);
  await look(t, browser, gate, 'dark', { colorScheme: 'dark' }, open);
  await look(t, browser, gate, 'narrow', { width: 400, height: 800 }, open);
  await look(t, browser, gate, 'wide', { width: 2_560, height: 1_400 }, open);
});

t.test('the page of a gateway without any traffic', async (t) => {
  if (!available(t, 'chromium')) return;
  await look(t, await chromium(), await startTestGateway(t), 'empty', {});
});

t.test('the page during an outage of the authorization server', async (t) => {
  if (!available(t, 'chromium')) return;
  const clock = started();
  const gate = await shop(t, clock);
  for (let step = 0; step < 60; step++) {
    if (step === 40) gate.endpoint.fault = (_message, response) => response.writeHead(502).end();
    await traffic(gate, step);
    clock.advance(5_000);
    await (await request(`${gate.adminUrl}/series`)).body.dump();
  }
  await traffic(gate, 60);
  await look(t, await chromium(), gate, 'outage', {}, async (page) => {
    await page.locator('.trouble.error', { hasText: 'The circuit breaker of' }).waitFor();
  });
});

t.test('the page after a reload that failed', async (t) => {
  if (!available(t, 'chromium')) return;
  const gate = await startTestGateway(t, { rules: SHOP, tokens: TOKENS });
  const gateway = await startGateway(gate.settings, gate.table, {
    destination: { write: () => {} },
    load: async (version) => loadRules(gate.settings.rules, loadOptions(gate.settings, version)),
  });
  t.teardown(() => gateway.close());
  const broken = apiRule('shop.example', [
    rule('/orders/(a+)+', ['GET'], 'orders.read'),
    rule('/x', ['FETCH'], 'a b'),
  ]);
  writeFileSync(gate.settings.rules[0] as string, broken);
  await gateway.reload();
  await look(t, await chromium(), gateway, 'failed-reload', { colorScheme: 'dark' }, async (page) => {
    await page.locator('.trouble.error', { hasText: 'The last reload of the rules failed' }).waitFor();
  });
});

t.test('the page of a gateway with a thousand rules', async (t) => {
  if (!available(t, 'chromium')) return;
  const teams = ['billing', 'catalogue', 'identity', 'shipping', 'support'];
  const documents = teams.map((team) =>
    apiRule(
      `${team}.example`,
      [
        rule('/.*', ['GET'], `${team}.read`),
        ...Array.from({ length: 199 }, (_, i) =>
          rule(`/v1/${team}/resource-${i}(/.*)?`, ['GET', 'POST'], `${team}.r${i}`),
        ),
      ],
      team,
    ),
  );
  const gate = await startTestGateway(t, { rules: documents.join('\n---\n'), tokens: TOKENS });
  for (const team of teams) await ask(gate, `/v1/${team}/resource-7`, { host: `${team}.example` });
  const openPicture = async (page: Page) => {
    await page.getByText('Which rule contains which').click();
    await page.locator('.boxes .outer').first().waitFor();
  };
  // axe takes half a minute for a thousand rows, which are like the first fifty.
  const showAll = async (page: Page) => {
    await page.getByRole('button', { name: 'Show all 1000 rules' }).click();
    await page.locator('#rules tr').nth(999).waitFor();
    await page.getByRole('button', { name: '175 more' }).first().click();
    await page.getByText('/v1/billing/resource-198(/.*)?').last().waitFor();
    await page.getByLabel('Filter').first().fill('resource-42 shipping');
    await page.locator('#rules-count', { hasText: '1 of 1000 in use' }).waitFor();
  };
  await look(t, await chromium(), gate, 'thousand-rules', {}, openPicture, showAll);
});
