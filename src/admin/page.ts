import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The admin page, ready to send. */
export interface Page {
  readonly html: string;
  /**
   * Its Content-Security-Policy. It allows the page's own script and style and requests to this port, and
   * nothing else.
   */
  readonly policy: string;
}

/**
 * Builds the page from its three files. It is called once.
 *
 * @throws Error if a file is missing from the installation
 */
export function readPage(): Page {
  const style = read('style.css');
  const script = read('page.js');
  // Functions as replacements, because `$` has a meaning in a replacement text.
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

/** Reads a file of the page, as .ci/page.js has made it beside this file. */
function read(name: string): string {
  try {
    return readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error(`the admin page's ${name} is missing from the installation`, { cause: error });
  }
}
