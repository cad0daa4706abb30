import type { IncomingMessage } from 'node:http';
import { Response } from 'undici';

/** Hydra keeps 1 MiB of a form in memory; the local one takes no more than that at all. */
const LIMIT = 1 << 20;

/** A body that is larger than the stack takes, or that its own Content-Type does not describe. */
export class BadBody extends Error {}

/**
 * Reads a whole request body.
 *
 * @throws BadBody above 1 MiB
 */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LIMIT) throw new BadBody('The request body is too large.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Reads a form as Hydra does: `application/x-www-form-urlencoded`, or `multipart/form-data` as `curl -F` sends it.
 * Any other type, or none, is an empty form; the query is not read; files in a multipart form are not parameters.
 *
 * @throws BadBody when a multipart body is broken
 */
export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const type = request.headers['content-type'] ?? '';
  const body = await readBody(request);
  if (/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) return new URLSearchParams(body.toString());
  const form = new URLSearchParams();
  if (!/^multipart\/form-data\s*(;|$)/i.test(type)) return form;
  let parts: Iterable<[string, unknown]>;
  try {
    parts = (await new Response(body, { headers: { 'content-type': type } }).formData()).entries();
  } catch {
    throw new BadBody('Unable to parse the multipart request body.');
  }
  for (const [name, value] of parts) if (typeof value === 'string') form.append(name, value);
  return form;
}
