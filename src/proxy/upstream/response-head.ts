import { isFieldName, lowerName } from '../../parse/field-names.js';

/** The status line and the fields of an upstream's answer, and what they say of what follows (RFC 9112 §4 to §6). */
export interface ResponseHead {
  readonly status: number;
  /** Name, value, name, value … in the order they came. */
  readonly fields: readonly string[];
  /** The lower-case name of each field. */
  readonly names: readonly string[];
  /** Content-Length, in bytes; undefined where there is none. */
  readonly length: number | undefined;
  /** Whether the body comes in chunks (RFC 9112 §7.1). */
  readonly chunked: boolean;
  /** Whether another request may follow on the connection (RFC 9112 §9.3). */
  readonly persistent: boolean;
  /** Whether it is a stream of events, which ends when somebody has had enough of it. */
  readonly endless: boolean;
  /** How long the upstream keeps a connection that has nothing to do, in milliseconds, where it says so. */
  readonly keepAlive: number | undefined;
}

/** An upstream has sent what is no answer of HTTP/1.1, or one that can be read in two ways. */
export class InvalidResponse extends Error {
  /** For the log: which rule it breaks, and nothing of what it holds. */
  readonly code: string;
  /** @param message which rule it breaks; nothing of what it holds */
  constructor(message: string) {
    super(message);
    this.name = 'InvalidResponse';
    this.code = `answer_invalid: ${message}`;
  }
}

/** RFC 9112 §4; the reason may be missing, and with it the space before it. */
const STATUS_LINE = /^HTTP\/1\.[01] [1-9][0-9]{2}(?: [^\r\n]*)?$/;
/** Where the two stand in it. */
const MINOR_VERSION = 'HTTP/1.'.length;
const STATUS = 'HTTP/1.1 '.length;
/** Controls but the tab, and a CR or LF that ends no line (RFC 9112 §2.2, RFC 9110 §5.5). */
const FORBIDDEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?:^|[^\r])\n/;

/**
 * Refuses the beginning of a head that can become none, so that its end is not waited for.
 *
 * @param text what has come of it, as Latin-1
 * @throws InvalidResponse
 */
export function checkPartialHead(text: string): void {
  if (!text.startsWith(PROTOCOL.slice(0, text.length))) throw new InvalidResponse(NO_STATUS_LINE);
  // The LF of the last line's end may be on its way.
  if (FORBIDDEN.test(text.endsWith('\r') ? text.slice(0, -1) : text)) throw new InvalidResponse(CONTROL);
}

/** What every head begins with. */
const PROTOCOL = 'HTTP/1.';
const NO_STATUS_LINE = 'no status line of HTTP/1';
const CONTROL = 'a control character, or a line end that is not CR LF, in the head';

/**
 * Reads the head of an answer. What another reader could take for something else is refused, not repaired: bare line
 * ends, folded fields, a space before the colon, two lengths, a length beside chunks.
 *
 * @param text the head as Latin-1, up to the empty line and without it
 * @throws InvalidResponse
 */
export function readHead(text: string): ResponseHead {
  if (FORBIDDEN.test(text)) throw new InvalidResponse(CONTROL);
  let end = text.indexOf('\r\n');
  if (!STATUS_LINE.test(end === -1 ? text : text.slice(0, end))) throw new InvalidResponse(NO_STATUS_LINE);
  const fields: string[] = [];
  const names: string[] = [];
  let length: string | undefined;
  let coding: string | undefined;
  let connection = '';
  let keepAlive: number | undefined;
  let endless = false;
  while (end !== -1) {
    const start = end + 2;
    end = text.indexOf('\r\n', start);
    const field = end === -1 ? text.slice(start) : text.slice(start, end);
    const name = readField(field, fields, names);
    const value = fields[fields.length - 1] as string;
    switch (name) {
      case 'content-length':
        if (length !== undefined) throw new InvalidResponse('two Content-Length fields');
        refuseTab(field);
        length = value;
        break;
      case 'transfer-encoding':
        if (coding !== undefined) throw new InvalidResponse('two Transfer-Encoding fields');
        refuseTab(field);
        coding = value;
        break;
      case 'connection':
        connection += `,${value.toLowerCase()}`;
        break;
      case 'content-type':
        endless = /^text\/event-stream\b/i.test(value);
        break;
      case 'keep-alive':
        keepAlive = timeoutOf(value);
        break;
    }
  }
  const modern = text[MINOR_VERSION] === '1';
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length))
    throw new InvalidResponse('a Content-Length that is no number');
  if (coding !== undefined) {
    if (length !== undefined) throw new InvalidResponse('Content-Length beside Transfer-Encoding');
    if (!modern || coding.toLowerCase() !== 'chunked')
      throw new InvalidResponse('a Transfer-Encoding other than chunked, or chunked in HTTP/1.0');
  }
  return {
    status: Number(text.slice(STATUS, STATUS + 3)),
    fields,
    names,
    length: length === undefined ? undefined : Number(length),
    chunked: coding !== undefined,
    persistent: modern
      ? !has(connection, 'close')
      : has(connection, 'keep-alive') && !has(connection, 'close'),
    endless,
    keepAlive,
  };
}

/**
 * Reads one field line, as of a head or of a trailer section.
 *
 * @param fields its name and value are put there
 * @param names its name in lower case is put there
 * @returns that name
 * @throws InvalidResponse
 */
export function readField(line: string, fields: string[], names: string[]): string {
  const colon = line.indexOf(':');
  // No name has a space in it, so neither a folded line nor a space before the colon gets through.
  const name = line.slice(0, Math.max(0, colon));
  if (!isFieldName(name)) throw new InvalidResponse('a line in the head or the trailers that is no field');
  const lower = lowerName(name);
  fields.push(name, trimmed(line, colon + 1));
  names.push(lower);
  return lower;
}

/** Tabs may stand around a value (RFC 9110 §5.6.3), and parsers are known to which `chunked` with one is another coding. */
function refuseTab(field: string): void {
  if (field.includes('\t')) throw new InvalidResponse('a tab in Content-Length or Transfer-Encoding');
}

/** Without the spaces and tabs around a value. */
function trimmed(line: string, from: number): string {
  let start = from;
  let end = line.length;
  while (start < end && isBlank(line.charCodeAt(start))) start++;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** Whether an option is in a list of comma-separated ones. */
function has(list: string, option: string): boolean {
  return list !== '' && list.includes(option) && list.split(',').some((each) => each.trim() === option);
}

/** What `Keep-Alive: timeout=5` says, in milliseconds. */
function timeoutOf(value: string): number | undefined {
  const seconds = /(?:^|[, ])timeout=([0-9]{1,6})(?:$|[, ])/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
