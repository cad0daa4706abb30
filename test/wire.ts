import { connect, type Socket } from 'node:net';

/** One answer as it came over the wire. */
export interface WireAnswer {
  readonly status: number;
  /** Lower-case names; repeated fields in order. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: Buffer;
}

/** Everything a raw connection brought until it was closed. */
export interface WireResult {
  readonly raw: Buffer;
  readonly answers: WireAnswer[];
  /** Whether the other side ended the connection (a FIN or a reset). */
  readonly closed: boolean;
}

/** How long a raw request waits for more when nothing says that the exchange is over, in milliseconds. */
export interface WireOptions {
  readonly answers?: number;
  readonly timeout?: number;
  /** Ends our side after sending. */
  readonly end?: boolean;
  /** Bytes to send once the first ones have been answered. */
  readonly afterwards?: Buffer | string;
  /** Methods of the requests sent, so that answers to HEAD are read without a body. */
  readonly methods?: readonly string[];
}

/**
 * Sends raw bytes on a fresh connection and reads until so many answers are complete, the connection is closed, or
 * the time is over.
 */
export async function sendRaw(
  port: number,
  bytes: Buffer | string,
  options: WireOptions = {},
): Promise<WireResult> {
  const { answers = 1, timeout = 20_000, methods = [] } = options;
  const socket = connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  let closed = false;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeout);
    const finish = (): void => {
      clearTimeout(timer);
      resolve();
    };
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      if (chunks.length === 0 && options.afterwards !== undefined) socket.write(options.afterwards);
      chunks.push(chunk);
      if (parseAnswers(Buffer.concat(chunks), methods).length >= answers) finish();
    });
    socket.on('end', () => {
      closed = true;
    });
    socket.on('close', () => {
      closed = true;
      finish();
    });
    socket.write(bytes);
    if (options.end === true) socket.end();
  });
  socket.destroy();
  const raw = Buffer.concat(chunks);
  return { raw, answers: parseAnswers(raw, methods), closed };
}

/**
 * Sends what is not to be answered 408 up to three times more where it is: a machine that halts for a moment makes any
 * request late, and what is so of itself is so each time.
 */
export async function sendUnhurried(send: () => Promise<WireResult>): Promise<WireResult> {
  let result = await send();
  for (let again = 0; again < 3 && result.answers.at(-1)?.status === 408; again++) result = await send();
  return result;
}

/** Opens a raw connection. */
export async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

/** Reads complete answers from the start of a byte stream; interim answers (1xx) are left out. */
export function parseAnswers(raw: Buffer, methods: readonly string[] = []): WireAnswer[] {
  const found: WireAnswer[] = [];
  let at = 0;
  while (at < raw.length) {
    const headEnd = raw.indexOf('\r\n\r\n', at);
    if (headEnd === -1) break;
    const [first = '', ...lines] = raw.subarray(at, headEnd).toString('latin1').split('\r\n');
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1]);
    if (!Number.isInteger(status)) break;
    const headers = new Map<string, string[]>();
    for (const line of lines) {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon).toLowerCase();
      headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
    }
    at = headEnd + 4;
    if (status < 200) continue;
    const bodiless = methods[found.length] === 'HEAD' || status === 204 || status === 304;
    const body = bodiless ? { bytes: Buffer.alloc(0), next: at } : readBody(raw, at, headers);
    if (body === undefined) break;
    found.push({ status, headers, body: body.bytes });
    at = body.next;
  }
  return found;
}

function readBody(
  raw: Buffer,
  at: number,
  headers: Map<string, string[]>,
): { bytes: Buffer; next: number } | undefined {
  const length = headers.get('content-length')?.[0];
  if (length !== undefined) {
    const next = at + Number(length);
    return next > raw.length ? undefined : { bytes: raw.subarray(at, next), next };
  }
  if (headers.get('transfer-encoding')?.[0]?.toLowerCase() !== 'chunked') {
    // Framed by the connection's end; only ever the last one.
    return { bytes: raw.subarray(at), next: raw.length };
  }
  const parts: Buffer[] = [];
  let position = at;
  for (;;) {
    const lineEnd = raw.indexOf('\r\n', position);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(raw.subarray(position, lineEnd).toString('latin1'), 16);
    position = lineEnd + 2;
    if (size === 0) {
      const end = raw.indexOf('\r\n', position);
      if (end === -1) return undefined;
      let line = end;
      while (line > position) {
        position = line + 2;
        line = raw.indexOf('\r\n', position);
        if (line === -1) return undefined;
      }
      return { bytes: Buffer.concat(parts), next: position + 2 };
    }
    if (position + size + 2 > raw.length) return undefined;
    parts.push(raw.subarray(position, position + size));
    position += size + 2;
  }
}
