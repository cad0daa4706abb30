import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The admin page, ready to be sent. */
export interface Page {
  readonly html: string;
  /** Its Content-Security-Policy: it runs its own script, has its own style, and asks this port, and that is all. */
  readonly policy: string;
}

/**
 * Puts the page together from its three files, once.
 *
 * @throws Error of the system when a file is missing from the installation
 */
export function readPage(): Page {
  const style = read('page.css');
  const script = read('page.js');
  // Functions, because `$` in a replacement text would mean something.
  const html = read('page.html')
    .replace('/* style */', () => style)
    .replace('/* script */', () => script);
  const policy = [
    "default-src 'none'",
    `style-src '${digest(style)}'`,
    `script-src '${digest(script)}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
  return { html, policy };
}

function digest(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

/** From beside this file, or, in a checkout's test build, from the sources. */
function read(name: string): string {
  for (const folder of ['./page/', '../../../src/admin/page/', '../../src/admin/page/']) {
    try {
      return readFileSync(new URL(folder + name, import.meta.url), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  throw new Error(`the admin page's ${name} is missing from the installation`);
}
