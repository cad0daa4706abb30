import { canonicalPath } from '../../parse/target.js';
import { escapeText } from './glob.js';
import type { AccessRule } from './schema.js';

/** Where a rule forwards to. */
export interface RuleUpstream {
  readonly address: { readonly scheme: 'http' | 'https'; readonly host: string; readonly port: number };
  readonly options: {
    readonly stripPath?: string;
    readonly upstreamPath?: string;
    readonly preserveHost?: true;
  };
}

/** An upstream that an APIRule cannot express. `field` is the field that causes it. */
export class UnreadableUpstream extends Error {
  readonly field: 'url' | 'strip_path';
  constructor(field: 'url' | 'strip_path', message: string) {
    super(message);
    this.name = 'UnreadableUpstream';
    this.field = field;
  }
}

/** The service of a rule that only answers forward-auth requests: nothing is forwarded to it. */
export const NO_UPSTREAM = { scheme: 'http', host: 'no-upstream', port: 80 } as const;

/**
 * Reads a rule's `upstream`.
 *
 * @returns undefined if it has none: Oathkeeper then only decides about the rule's requests
 * @throws UnreadableUpstream
 */
export function readUpstream({
  url,
  ...more
}: NonNullable<AccessRule['upstream']>): RuleUpstream | undefined {
  if (url === undefined || url === '') return undefined;
  if (!URL.canParse(url)) throw new UnreadableUpstream('url', `"${url}" is not a URL`);
  const { protocol, hostname, port, pathname, search, username } = new URL(url);
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new UnreadableUpstream('url', 'it is not an http or https URL');
  if (search !== '' || username !== '') {
    throw new UnreadableUpstream('url', 'an upstream cannot have a query or credentials');
  }
  const base = prefix(pathname, 'url');
  const strip = prefix(more.strip_path ?? more.stripPath ?? '', 'strip_path');
  if (strip !== undefined && base?.includes(strip) === true) {
    throw new UnreadableUpstream(
      'strip_path',
      'the path of upstream.url contains it too, and Oathkeeper strips it there',
    );
  }
  const settled = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
  return {
    address: { scheme: protocol === 'https:' ? 'https' : 'http', host: hostname, port: settled },
    options: {
      ...(strip === undefined ? {} : { stripPath: strip }),
      ...(base === undefined ? {} : { upstreamPath: base }),
      ...((more.preserve_host ?? more.preserveHost) === true ? { preserveHost: true } : {}),
    },
  };
}

/** Reads a path as Oathkeeper does, with or without slashes around it. */
function prefix(path: string, field: 'url' | 'strip_path'): string | undefined {
  const trimmed = path.replace(/^\/+|\/+$/g, '');
  if (trimmed === '') return undefined;
  const canonical = canonicalPath(`/${trimmed}`);
  if ('refused' in canonical || canonical.marks !== 0 || canonical.unmerged !== undefined) {
    throw new UnreadableUpstream(field, `"${path}" is not a canonical path`);
  }
  return canonical.path;
}

/**
 * Limits a path to whole segments after the ones that are stripped. For scopegate, `/apix` is not a path
 * below `/api`; Oathkeeper would strip `/api` from it and send the rest.
 *
 * @param path the expression for the path
 * @returns the same expression if nothing has to be changed
 */
export function withinStripped(path: string, strip: string): string {
  const literal = escapeText(strip);
  const rest = path.startsWith(literal) ? path.slice(literal.length) : undefined;
  if (rest === '(.*)') return `${literal}((?:/.*)?)`;
  return rest === '(.+)' ? `${literal}(/.*)` : path;
}
