/**
 * A reading of HTTP/1.1 bytes by the letter of RFC 9112, independent of the gateway and of Node: it says which requests
 * a client has sent, and holds what reaches the upstream against the grammar.
 */

/** One request as it stands in the bytes. */
export interface StrictRequest {
  readonly method: string;
  readonly target: string;
  /** `1.0` or `1.1`. */
  readonly version: string;
  /** Lower-case name and value without the white space around it, in order. */
  readonly fields: readonly (readonly [string, string])[];
  /** What of the body is there. */
  readonly body: Buffer;
  readonly chunked: boolean;
  /** Whether the body is whole. */
  readonly complete: boolean;
  /** Where it ends, if it is complete. */
  readonly end: number;
}

/** What a stream of bytes holds. */
export interface Reading {
  /** Whole requests, in order. */
  readonly requests: readonly StrictRequest[];
  /** One whose head is whole and whose body is not, or is broken. */
  readonly partial?: StrictRequest;
  /**
   * What follows the last whole request: nothing, the beginning of one, what can never become one, or what is sent on a
   * connection that ends with that request.
   */
  readonly rest: 'clean' | 'incomplete' | 'broken' | 'ended';
  /** Where the last whole request ends. */
  readonly end: number;
}

/**
 * What a lenient reader may accept without a second meaning: the gateway's parser (llhttp) does, and no hook sees it.
 * Blank lines and line ends before a request (RFC 9112 §2.2), more than one space in the start line, and the name RTSP
 * for the protocol.
 */
const LENIENT_START = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) +([^ ]+) +(?:HTTP\/(1\.[01])|RTSP\/(1\.0))$/;
const STRICT_START = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP\/(1\.[01])$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)[ \t]*$/;
const CHUNK = /^([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?$/;

/** Reads requests until the bytes end or can be read no further. */
export function readRequests(bytes: Buffer, lenient: boolean): Reading {
  const requests: StrictRequest[] = [];
  let at = 0;
  for (;;) {
    let start = at;
    if (lenient) while (bytes[start] === 0x0d || bytes[start] === 0x0a) start++;
    if (start === bytes.length) return { requests, rest: 'clean', end: at };
    const one = readRequest(bytes, start, lenient);
    if (typeof one === 'string') return { requests, rest: one, end: at };
    if (!one.request.complete) return { requests, partial: one.request, rest: one.rest, end: at };
    requests.push(one.request);
    at = one.request.end;
    // RFC 9112 §9.6: nothing behind it is a request any more.
    if (lenient && isLast(one.request))
      return { requests, rest: at === bytes.length ? 'clean' : 'ended', end: at };
  }
}

/** Whether a connection ends with a request (RFC 9112 §9.3). */
export function isLast({ version, fields }: StrictRequest): boolean {
  const options = values(fields, 'connection').flatMap((value) =>
    value.split(',').map((option) => option.trim().toLowerCase()),
  );
  return options.includes('close') || (version === '1.0' && !options.includes('keep-alive'));
}

type Rest = 'incomplete' | 'broken';

function readRequest(
  bytes: Buffer,
  start: number,
  lenient: boolean,
): { request: StrictRequest; rest: Rest } | Rest {
  const first = line(bytes, start);
  if (typeof first === 'string') return first;
  const match = (lenient ? LENIENT_START : STRICT_START).exec(first.text);
  if (match === null) return 'broken';
  const head = readFields(bytes, first.next);
  if (typeof head === 'string') return head;
  const { fields, next } = head;
  const version = (match[3] ?? match[4]) as string;

  const lengths = values(fields, 'content-length');
  const codings = values(fields, 'transfer-encoding');
  if (lengths.length + codings.length > 1) return 'broken';
  if (codings.length === 1 && (version !== '1.1' || codings[0]?.toLowerCase() !== 'chunked')) return 'broken';
  if (lengths.length === 1 && !/^[0-9]+$/.test(lengths[0] as string)) return 'broken';

  const length = Number(lengths[0] ?? 0);
  const body =
    codings.length === 1
      ? readChunks(bytes, next)
      : {
          body: bytes.subarray(next, next + length),
          end: next + length,
          rest: next + length <= bytes.length ? undefined : ('incomplete' as const),
        };
  const request: StrictRequest = {
    method: match[1] as string,
    target: match[2] as string,
    version,
    fields,
    body: body.body,
    chunked: codings.length === 1,
    complete: body.rest === undefined,
    end: body.end,
  };
  return { request, rest: body.rest ?? 'incomplete' };
}

function readChunks(bytes: Buffer, start: number): { body: Buffer; end: number; rest: Rest | undefined } {
  const parts: Buffer[] = [];
  let at = start;
  const stop = (rest: Rest) => ({ body: Buffer.concat(parts), end: at, rest });
  for (;;) {
    const head = line(bytes, at);
    if (typeof head === 'string') return stop(head);
    const match = CHUNK.exec(head.text);
    if (match === null) return stop('broken');
    const size = Number.parseInt(match[1] as string, 16);
    if (size === 0) {
      const trailers = readFields(bytes, head.next);
      if (typeof trailers === 'string') return stop(trailers);
      return { body: Buffer.concat(parts), end: trailers.next, rest: undefined };
    }
    parts.push(bytes.subarray(head.next, Math.min(head.next + size, bytes.length)));
    at = head.next + size;
    if (at + 2 > bytes.length) {
      const cr = bytes[at];
      return stop(cr === undefined || cr === 0x0d ? 'incomplete' : 'broken');
    }
    if (bytes[at] !== 0x0d || bytes[at + 1] !== 0x0a) return stop('broken');
    at += 2;
  }
}

function readFields(bytes: Buffer, start: number): { fields: [string, string][]; next: number } | Rest {
  const fields: [string, string][] = [];
  let at = start;
  for (;;) {
    const next = line(bytes, at);
    if (typeof next === 'string') return next;
    at = next.next;
    if (next.text === '') return { fields, next: at };
    const match = FIELD.exec(next.text);
    if (match === null) return 'broken';
    fields.push([(match[1] as string).toLowerCase(), match[2] as string]);
  }
}

/** One line up to its CRLF; a CR or LF alone breaks it. */
function line(bytes: Buffer, start: number): { text: string; next: number } | Rest {
  const lf = bytes.indexOf(0x0a, start);
  const end = lf === -1 ? bytes.length : lf;
  const cr = bytes.indexOf(0x0d, start);
  if (lf === -1) return cr === -1 || cr >= end - 1 ? 'incomplete' : 'broken';
  if (cr !== lf - 1) return 'broken';
  return { text: bytes.toString('latin1', start, cr), next: lf + 1 };
}

/** Every value of a field. */
export function values(fields: StrictRequest['fields'], name: string): string[] {
  return fields.filter(([field]) => field === name).map(([, value]) => value);
}
