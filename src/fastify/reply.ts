import type { FastifyReply } from 'fastify';
import type { Denial } from '../model/errors.js';
import { isStream } from '../parse/parsed-request.js';
import { drain, refusalOf } from '../proxy/refusal.js';

/** Sets header fields of a reply: name, value, name, value … A repeated name becomes another line. */
export function setFields(reply: FastifyReply, fields: readonly string[]): void {
  const values = new Map<string, string | string[]>();
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase();
    const value = fields[i + 1] as string;
    const before = values.get(name);
    values.set(name, before === undefined ? value : [...[before].flat(), value]);
  }
  for (const [name, value] of values) reply.header(name, value);
}

/**
 * Answers with a row of the error table. The reply passes through Fastify's life cycle, so that hooks of
 * other plugins see it.
 *
 * @param realm for the challenge
 * @param cors further fields: name, value, name, value …
 */
export function sendRefusal(
  reply: FastifyReply,
  refused: Denial,
  realm: string,
  cors: readonly string[] = [],
): void {
  const message = reply.request.raw;
  const { code, fields, body, closes } = refusalOf(refused, realm);
  // Other code may have set these fields for a response that is not sent any more.
  for (const name of ['content-encoding', 'content-range', 'etag', 'last-modified', 'transfer-encoding'])
    reply.removeHeader(name);
  setFields(reply, [...fields, ...cors]);
  // A client that waits for 100 (Continue) may never send its body, so the next request on the connection
  // could not be found.
  const { expect, 'content-length': length = '0', 'transfer-encoding': coding } = message.headers;
  if (!isStream(message) && (closes || expect !== undefined)) reply.header('connection', 'close');
  reply.code(code).send(body);
  if (coding !== undefined || length !== '0') drain(message);
}
