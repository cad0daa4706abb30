import type { IncomingMessage } from 'node:http';
import { type FormData, Response } from 'undici';

type Values = Record<string, string | string[]>;

/** Everything HttpBin says of a request; its endpoints show parts of it. */
export interface Echo {
  readonly args: Values;
  readonly data: string;
  readonly files: Values;
  readonly form: Values;
  readonly headers: Record<string, string>;
  readonly json: unknown;
  readonly method: string;
  readonly origin: string;
  readonly url: string;
}

/** The fields that HttpBin keeps to itself: what a platform in front of it adds. */
const HIDDEN = new Set([
  'x-varnish',
  'x-request-start',
  'x-heroku-queue-depth',
  'x-real-ip',
  'x-forwarded-proto',
  'x-forwarded-protocol',
  'x-forwarded-ssl',
  'x-forwarded-port',
  'x-forwarded-for',
]);

/** Reads a request to its end and describes it as HttpBin does. */
export async function echo(request: IncomingMessage): Promise<Echo> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const { form, files, rest } = await parse(Buffer.concat(chunks), request.headers['content-type'] ?? '');
  return {
    args: query(new URL(request.url ?? '/', 'http://httpbin').searchParams),
    data: readable(rest),
    files,
    form,
    headers: headersOf(request),
    json: parsedJson(rest),
    method: request.method ?? '',
    origin: originOf(request),
    url: urlOf(request),
  };
}

/** The request's fields with their names in title case, repeated ones joined, as WSGI gives them. */
export function headersOf(request: IncomingMessage): Record<string, string> {
  const shown: Record<string, string> = {};
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = (request.rawHeaders[index] as string).toLowerCase();
    if (HIDDEN.has(name)) continue;
    const title = name.replace(/(^|-)[a-z]/g, (part) => part.toUpperCase());
    const value = request.rawHeaders[index + 1] as string;
    shown[title] = shown[title] === undefined ? value : `${shown[title]},${value}`;
  }
  return shown;
}

/** Who asked: `X-Forwarded-For` as it came, else the peer's address. */
export function originOf(request: IncomingMessage): string {
  const forwarded = request.headers['x-forwarded-for'];
  return [forwarded ?? request.socket.remoteAddress ?? ''].flat().join(', ');
}

/** Parameters as HttpBin prints them: a string, or a list where the name occurs again. */
export function query(params: URLSearchParams): Values {
  return collect(params);
}

function collect(pairs: Iterable<[string, string]>): Values {
  const values = new Map<string, string[]>();
  for (const [name, value] of pairs) values.set(name, [...(values.get(name) ?? []), value]);
  return Object.fromEntries(
    [...values].map(([name, all]) => [name, all.length === 1 ? (all[0] as string) : all]),
  );
}

interface Parsed {
  readonly form: Values;
  readonly files: Values;
  /** What is neither form nor file. */
  readonly rest: Buffer;
}

async function parse(body: Buffer, type: string): Promise<Parsed> {
  const nothing = Buffer.alloc(0);
  if (type.startsWith('application/x-www-form-urlencoded')) {
    return { form: collect(new URLSearchParams(body.toString())), files: {}, rest: nothing };
  }
  if (!type.startsWith('multipart/form-data')) return { form: {}, files: {}, rest: body };
  const parts: FormData = await new Response(body, { headers: { 'content-type': type } }).formData();
  const form: [string, string][] = [];
  const files: [string, string][] = [];
  for (const [name, value] of parts) {
    if (typeof value === 'string') form.push([name, value]);
    else files.push([name, readable(Buffer.from(await value.arrayBuffer()))]);
  }
  return { form: collect(form), files: collect(files), rest: nothing };
}

/** Text where the bytes are UTF-8, else a data URL. */
function readable(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `data:application/octet-stream;base64,${bytes.toString('base64')}`;
  }
}

function parsedJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return null;
  }
}

function urlOf(request: IncomingMessage): string {
  const scheme = request.headers['x-forwarded-proto'] ?? 'http';
  return `${scheme}://${request.headers.host ?? ''}${request.url ?? '/'}`;
}
