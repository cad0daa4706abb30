import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import type { Scope, TestGateway } from '../gateway.js';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts a Chromium that ends with the test. */
export async function launch(t: Scope): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: FLAGS });
  t.teardown(() => browser.close());
  return browser;
}

/** How a browser looks at the page. */
export interface Look {
  readonly colorScheme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
}

/** The page, and everything it complains about or asks elsewhere. */
export interface Visit {
  readonly page: Page;
  readonly complaints: string[];
  readonly elsewhere: string[];
}

/** Opens the admin page, and waits until it shows the gateway's state. */
export async function visit(
  browser: Browser,
  { adminUrl }: Pick<TestGateway, 'adminUrl'>,
  { colorScheme = 'light', width = 1360, height = 1000 }: Look = {},
): Promise<Visit> {
  const context = await browser.newContext({
    colorScheme,
    viewport: { width, height },
    locale: 'en-GB',
    reducedMotion: 'reduce',
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
  await page.locator('#state', { hasText: /serving/ }).waitFor();
  return { page, complaints, elsewhere };
}

/** What a person can read of an element, table cells apart. */
export const seen = (locator: Locator): Promise<string> =>
  // biome-ignore lint/performance/useDomNodeTextContent: textContent joins cells, and holds what is hidden
  locator.innerText();

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/**
 * Runs axe-core on the page as it is now. It is evaluated through the DevTools protocol, so the page's own policy stays as
 * it is.
 *
 * @returns what it finds: the rule, and the elements
 */
export async function axeFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.flatMap(({ id, help, nodes }) =>
      nodes.slice(0, 5).map(({ html, any }) => id + ': ' + help + ': ' + html.slice(0, 160) + ' ' + (any[0]?.message ?? ''))))`);
}

/** The elements that stick out of the page to the right, except in areas that scroll. */
export async function overflowing(page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('body *')]
    .filter((element) => element.closest('.scroll, .unseen, .skip, svg') === null)
    .filter((element) => {
      const { right, width } = element.getBoundingClientRect();
      return width > 0 && right > document.documentElement.clientWidth + 0.5;
    })
    .map((element) => element.outerHTML.slice(0, 120))`);
}
