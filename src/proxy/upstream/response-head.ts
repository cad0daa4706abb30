import { isFieldName, lowerName } from '../../parse/field-names.js';

/**
 * The status line and the fields of an upstream's response, and how its body is framed (RFC 9112 §4 to §6).
 */
export interface ResponseHead {
  readonly status: number;
  /** Name, value, name, value … as received. */
  readonly fields: readonly string[];
  /** The lower-case name of each field. */
  readonly names: readonly string[];
  /** Content-Length, in bytes; undefined if there is none. */
  readonly length: number | undefined;
  /** Whether the body is chunked (RFC 9112 §7.1). */
  readonly chunked: boolean;
  /** Whether another request may follow on the connection (RFC 9112 §9.3). */
  readonly persistent: boolean;
  /** Whether it is an event stream, which has no natural end. */
  readonly endless: boolean;
  /** How long the upstream keeps an idle connection, in milliseconds; undefined if it does not say. */
  readonly keepAlive: number | undefined;
}

/** An upstream's response is not valid HTTP/1.1, or is ambiguous. */
export class InvalidResponse extends Error {
  /** For the log: which rule the response breaks, without its content. */
  readonly code: string;
  /** @param message which rule the response breaks, without its content */
  constructor(message: string) {
    super(message);
    this.name = 'InvalidResponse';
    this.code = `answer_invalid: ${message}`;
  }
}

/** RFC 9112 §4; the reason phrase and the space before it may be missing. */
const STATUS_LINE = /^HTTP\/1\.[01] [1-9][0-9]{2}(?: [^\r\n]*)?$/;
/** The positions of the minor version and of the status in that line. */
const MINOR_VERSION = 'HTTP/1.'.length;
const STATUS = 'HTTP/1.1 '.length;
/**
 * Control characters except the tab, and a CR or LF that is not part of CR LF (RFC 9112 §2.2, RFC 9110 §5.5).
 */
const FORBIDDEN = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?:^|[^\r])\n/;

/**
 * Refuses an incomplete head that can no longer become valid, so that scopegate does not wait for its end.
 *
 * @param text the head so far, as Latin-1
 * @throws InvalidResponse
 */
export function checkPartialHead(text: string): void {
  if (!text.startsWith(PROTOCOL.slice(0, text.length))) throw new InvalidResponse(NO_STATUS_LINE);
  // The LF after the last CR may not have arrived yet.
  if (FORBIDDEN.test(text.endsWith('\r') ? text.slice(0, -1) : text)) throw new InvalidResponse(CONTROL);
}

/** The start of every head. */
const PROTOCOL = 'HTTP/1.';
const NO_STATUS_LINE = 'no HTTP/1 status line';
const CONTROL = 'a control character, or a line end that is not CR LF, in the head';

/**
 * Reads the head of a response. Whatever another parser could read differently is refused, not repaired: bare
 * line ends, folded fields, a space before the colon, two lengths, a length together with chunked coding.
 *
 * @param text the head as Latin-1, without the empty line at its end
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
    throw new InvalidResponse('a Content-Length that is not a number');
  if (coding !== undefined) {
    if (length !== undefined) throw new InvalidResponse('Content-Length together with Transfer-Encoding');
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
 * Reads one field line of a head or of a trailer section.
 *
 * @param fields the name and the value are appended to it
 * @param names the name in lower case is appended to it
 * @returns the name in lower case
 * @throws InvalidResponse
 */
export function readField(line: string, fields: string[], names: string[]): string {
  const colon = line.indexOf(':');
  // A field name contains no space, so this refuses folded lines and a space before the colon.
  const name = line.slice(0, Math.max(0, colon));
  if (!isFieldName(name)) throw new InvalidResponse('a line in the head or the trailers that is not a field');
  const lower = lowerName(name);
  fields.push(name, trimmed(line, colon + 1));
  names.push(lower);
  return lower;
}

/**
 * Refuses tabs, although they may surround a value (RFC 9110 §5.6.3): some parsers read `chunked` with a tab
 * as another coding.
 */
function refuseTab(field: string): void {
  if (field.includes('\t')) throw new InvalidResponse('a tab in Content-Length or Transfer-Encoding');
}

/** Removes the spaces and tabs around a value. */
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

/** Whether a comma-separated list contains an option. */
function has(list: string, option: string): boolean {
  return list !== '' && list.includes(option) && list.split(',').some((each) => each.trim() === option);
}

/** The timeout in a value such as `timeout=5` of Keep-Alive, in milliseconds. */
function timeoutOf(value: string): number | undefined {
  const seconds = /(?:^|[, ])timeout=([0-9]{1,6})(?:$|[, ])/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
