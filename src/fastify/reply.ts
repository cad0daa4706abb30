import type { FastifyReply } from 'fastify';
import type { Denial } from '../model/errors.js';
import { isStream } from '../parse/parsed-request.js';
import { declaresBody, drain, refusalOf } from '../proxy/refusal.js';
import { fieldRecord } from './field-record.js';

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
  reply.headers(fieldRecord([...fields, ...cors]));
  // A client that waits for 100 (Continue) may never send its body, so the next request on the connection
  // could not be found.
  const waits = message.headers.expect !== undefined;
  if (!isStream(message) && (closes || waits)) reply.header('connection', 'close');
  reply.code(code).send(body);
  if (declaresBody(message)) drain(message);
}
