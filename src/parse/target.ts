import { confusableWith } from './confusables.js';
import { readHost } from './host.js';

/**
 * Path contents that different upstreams read in different ways. A path with marks is refused unless its rule
 * allows each of them (docs/paths.md). Even then, every possible reading must match that same rule.
 */
export const MARK = {
  encodedSlash: 1,
  encodedPercent: 2,
  semicolon: 4,
} as const;

/** The canonical form of a request-target. Rules match it, and scopegate forwards, logs and explains it. */
export interface Target {
  /** In lower case, without port. */
  readonly host: string;
  /**
   * Normalised by RFC 3986 §6.2.2: unreserved characters are decoded, other escapes are in upper case, dot
   * segments are resolved. In addition, empty segments are merged. Printable ASCII only.
   */
  readonly path: string;
  /** Starts with `?`, or is empty. Rules do not match it; it is forwarded as received. */
  readonly query: string;
  /** The sum of the {@link MARK}s of the path. */
  readonly marks: number;
  /** The path with its empty segments, if it had any. */
  readonly unmerged?: string;
  /** Whether the path contains escapes that an upstream may decode into text that a rule matches. */
  readonly escaped: boolean;
  /**
   * The path as received, if another proxy forwards the request with that path and it is not the canonical
   * one. The upstream reads it instead of {@link path}, so both must match the same rule.
   */
  readonly asSent?: string;
}

/** Why a target is refused. */
export interface TargetRefusal {
  readonly refused: string;
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/i;
const QUERY = /^[\x21\x22\x24-\x7e]*$/;

/**
 * Turns a raw request-target and Host into the canonical target, or returns why it is refused. The function
 * is total, pure and linear.
 *
 * It is strict wherever parsers are known to differ. It refuses controls, spaces, non-ASCII bytes,
 * backslashes, fragments, invalid or overlong escapes, escaped delimiters, and dot segments above the root or
 * across an empty segment. No canonical form of these is what every upstream would see (for example
 * CVE-2026-33494).
 *
 * @param raw the request-target exactly as received (RFC 9112 §3.2)
 * @param authority the value of the single Host field, or of `:authority` in HTTP/2
 */
export function canonicalTarget(raw: string, authority: string | undefined): Target | TargetRefusal {
  if (authority === undefined) return refuse('the request names no host');
  const host = readHost(authority);
  if (host === undefined) return refuse('the host is malformed');

  let rest = raw;
  if (raw.charCodeAt(0) !== SLASH) {
    const absolute = ABSOLUTE.exec(raw);
    if (absolute === null) return refuse('the request target is not a path');
    // RFC 9112 §3.2.2 lets the target's authority override Host. A request that names two hosts is refused
    // instead.
    if (readHost(absolute[1] as string) !== host) return refuse('the request target names another host');
    rest = absolute[2] as string;
    if (rest === '' || rest.charCodeAt(0) === QUESTION) rest = `/${rest}`;
  }

  const mark = rest.indexOf('?');
  const path = mark === -1 ? rest : rest.slice(0, mark);
  const query = mark === -1 ? '' : rest.slice(mark);
  if (!QUERY.test(query)) return refuse('the query contains a character that is not allowed');
  if (isPlain(path)) return { host, path, query, marks: 0, escaped: false };

  const canonical = canonicalPath(path);
  if ('refused' in canonical) return canonical;
  return { host, query, ...canonical };
}

/** A dot segment; its dots may be escaped. */
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?=\/|$)/i;

/**
 * The target of a request that another proxy will forward after scopegate has decided about it. scopegate
 * cannot rewrite what that proxy sends, so rules must match the path that is sent. A path with dot segments
 * is refused: a router that reads the raw `/admin/../pub/x` serves `/admin`. Any other path that is not
 * canonical is kept in {@link Target.asSent}, so that the decision checks every reading of it against the
 * rules.
 *
 * @param raw the target as the asking proxy describes it; begins with `/`
 * @param authority the host as the asking proxy describes it
 */
export function describedTarget(raw: string, authority: string): Target | TargetRefusal {
  const target = canonicalTarget(raw, authority);
  if ('refused' in target) return target;
  const asSent = raw.slice(0, raw.length - target.query.length);
  if (asSent === target.path) return target;
  if (DOT_SEGMENT.test(asSent)) {
    return refuse('the path has dot segments, which the upstream may interpret differently');
  }
  return { ...target, asSent };
}

/** The canonical form of a path; see {@link Target}. */
export type CanonicalPath = Pick<Target, 'path' | 'marks' | 'unmerged' | 'escaped'>;

/**
 * Canonicalises a path that starts with `/`; see {@link canonicalTarget}.
 *
 * @param raw the path without query
 * @param partly whether some escapes may be decoded already, so that the path may contain `"` and similar
 *   characters
 */
export function canonicalPath(raw: string, partly = false): CanonicalPath | TargetRefusal {
  const decoded = decodeEscapes(raw, partly);
  if ('refused' in decoded) return decoded;
  const { text, marks, escaped } = decoded;

  const segments = text.split('/').slice(1);
  const kept: string[] = [];
  let empties = false;
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i] as string;
    const last = i === segments.length - 1;
    if (segment === '.') {
      if (last) kept.push('');
    } else if (segment === '..') {
      const popped = kept.pop();
      if (popped === undefined) return refuse('the path leads above the root');
      // Some parsers merge empty segments first, others remove the empty segment for "..". So nobody can know
      // which path the upstream would see.
      if (popped === '') return refuse('the path has ".." after an empty segment');
      if (last) kept.push('');
    } else {
      if (segment === '' && !last) empties = true;
      if (segment.startsWith('%20') || segment.endsWith('%20')) {
        return refuse('a path segment starts or ends with a space');
      }
      kept.push(segment);
    }
  }
  const unmerged = `/${kept.join('/')}`;
  if (!empties && !unmerged.includes('//')) return { path: unmerged, marks, escaped };
  return { path: unmerged.replace(/\/{2,}/g, '/'), marks, escaped, unmerged };
}

/** The most readings of one path. Legitimate paths have fewer. */
const MAX_READINGS = 32;

/**
 * The other ways in which an upstream may read a canonical path. If one of these readings matches another
 * rule, the rule that was matched is the wrong one. Upstreams apply such steps one after the other, in any
 * order, so each reading is read again until there is no new one. Empty for paths without escapes or marks.
 *
 * @param keepsEmpty whether the path is sent with its empty segments, so that keeping them is one more
 *   reading
 * @returns paths; an undefined element is a reading that is refused itself, so that no rule can match it
 */
export function readings(target: Target, keepsEmpty = false): (string | undefined)[] {
  const known = new Set<string>([target.path]);
  if (keepsEmpty && target.unmerged !== undefined) {
    known.add(target.unmerged);
    // An upstream that resolves the path as a URI reference reads its first segment as a host.
    if (target.unmerged.startsWith('//')) known.add(target.unmerged.replace(/^\/\/+[^/]*/, '') || '/');
  }
  // Iterating over a Set includes elements that are added during the iteration.
  for (const path of known) {
    if (!path.includes('%') && !path.includes(';')) continue;
    for (const reading of readAgain(path)) {
      if (reading === undefined) return [undefined];
      known.add(reading);
    }
    if (known.size > MAX_READINGS) return [undefined];
  }
  known.delete(target.path);
  return [...known];
}

/** The readings that one step of an upstream can make of a path. */
function readAgain(path: string): (string | undefined)[] {
  const found: (string | undefined)[] = [
    // Decodes sub-delimiters and other ASCII, as WSGI, Go and most frameworks do before they route.
    path.replace(/%(2[1246-9A-CE]|3[ACDE]|40|5[BDE]|60|7[BCD])/g, decodeByte),
    foldCompatible(path),
  ];
  if (path.includes('%2F')) found.push(resolve(path.replaceAll('%2F', '/')));
  if (path.includes('%25')) found.push(resolve(decodePercents(path)));
  if (/;|%3B/.test(path)) {
    found.push(resolve(path.replace(/(?:;|%3B)[^/]*/g, '')), resolve(path.replaceAll('%3B', ';')));
  }
  return found;
}

/**
 * The path as an upstream would canonicalise it after one more step; undefined if canonicalising refuses it.
 */
function resolve(path: string): string | undefined {
  const again = canonicalPath(path, true);
  return 'refused' in again ? undefined : again.path;
}

/** Decodes `%25` once more. A `%25` that forms no escape with the following characters stays as it is. */
function decodePercents(path: string): string {
  return path.replace(/%25(?=[0-9A-Fa-f]{2})/g, '%');
}

function decodeByte(_: string, hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}

/**
 * Folds Unicode compatibility forms (NFKC): an upstream that normalises reads a full-width `ａdmin` as
 * `admin`.
 */
function foldCompatible(path: string): string {
  if (!/%[89A-F]/.test(path)) return path;
  return path.replace(/(?:%[89A-F][0-9A-F])+/g, (run) => {
    const text = decodeURIComponent(run);
    const folded = text.normalize('NFKC');
    return folded === text ? run : encodeURIComponent(folded);
  });
}

const SLASH = 0x2f;
const PERCENT = 0x25;
const QUESTION = 0x3f;
const SEMICOLON = 0x3b;
const DOT = 0x2e;

/**
 * The class of each byte. 0: refused unescaped. 1: allowed unescaped in a path (pchar and `/`, RFC 3986
 * §3.3). 2: unreserved (§2.3). 3: refused unescaped from a client, but possible after an upstream has decoded
 * the path.
 */
const CLASS = new Uint8Array(256);
for (const char of '"<>[]^`{|}') CLASS[char.charCodeAt(0)] = 3;
for (const char of "!$&'()*+,;=:@/") CLASS[char.charCodeAt(0)] = 1;
for (const char of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~') {
  CLASS[char.charCodeAt(0)] = 2;
}

/**
 * Whether there is nothing to decode, merge, resolve or refuse. This is the common case, checked in one pass
 * without allocation.
 */
function isPlain(path: string): boolean {
  let previous = 0;
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    const kind = code > 0x7f ? 0 : CLASS[code];
    if (kind === 0 || kind === 3 || code === SEMICOLON) return false;
    if (previous === SLASH && (code === SLASH || code === DOT)) return false;
    previous = code;
  }
  return true;
}

function decodeEscapes(
  raw: string,
  partly: boolean,
): { text: string; marks: number; escaped: boolean } | TargetRefusal {
  let text = '';
  let marks = 0;
  let escaped = false;
  for (let i = 0; i < raw.length; ) {
    const code = raw.charCodeAt(i);
    if (code !== PERCENT) {
      const kind = code > 0x7f ? 0 : CLASS[code];
      if (kind === 0 || (kind === 3 && !partly))
        return refuse('the path contains a character that is not allowed');
      if (code === SEMICOLON) marks |= MARK.semicolon;
      text += raw[i];
      i++;
      continue;
    }
    const byte = escapeAt(raw, i);
    if (byte === -1) return refuse('the path contains a bad percent-escape');
    if (byte >= 0x80) {
      const character = utf8At(raw, i);
      if (character === undefined) return refuse('the path contains escapes that are not UTF-8');
      if (confusableWith(character.text)) {
        return refuse('the path contains a character that imitates a delimiter or cannot be seen');
      }
      text += raw.slice(i, character.end).toUpperCase();
      escaped = true;
      i = character.end;
      continue;
    }
    if (CLASS[byte] === 2) {
      text += String.fromCharCode(byte);
    } else {
      if (byte < 0x20 || byte === 0x7f) return refuse('the path contains an escaped control character');
      if (byte === 0x5c || byte === QUESTION || byte === 0x23) {
        return refuse('the path contains an escaped delimiter');
      }
      if (byte === SLASH) marks |= MARK.encodedSlash;
      else if (byte === PERCENT) marks |= MARK.encodedPercent;
      else if (byte === SEMICOLON) marks |= MARK.semicolon;
      else escaped = true;
      text += raw.slice(i, i + 3).toUpperCase();
    }
    i += 3;
  }
  return { text, marks, escaped };
}

function escapeAt(raw: string, at: number): number {
  const high = hexDigit(raw.charCodeAt(at + 1));
  const low = hexDigit(raw.charCodeAt(at + 2));
  return raw.charCodeAt(at) !== PERCENT || high === -1 || low === -1 ? -1 : high * 16 + low;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The UTF-8 character whose escapes start at `at`; undefined if they are overlong, incomplete or invalid. */
function utf8At(raw: string, at: number): { text: string; end: number } | undefined {
  const first = escapeAt(raw, at);
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const byte = escapeAt(raw, at + i * 3);
    if (byte === -1) return undefined;
    bytes[i] = byte;
  }
  try {
    return { text: utf8.decode(bytes), end: at + length * 3 };
  } catch {
    return undefined;
  }
}

function refuse(refused: string): TargetRefusal {
  return { refused };
}
