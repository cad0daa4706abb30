import type { ServerResponse } from 'node:http';
import { HydraError, malformed } from './client.js';
import { BadBody } from './form.js';

/** Hydra's own middleware says this of every GET, and of nothing else. */
const NEVER_CACHED = { 'cache-control': 'private, no-cache, no-store, must-revalidate' };
/** What the OAuth endpoints say of all answers but that about an active token. */
export const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' };

function general(response: ServerResponse): Record<string, string> {
  return response.req.method === 'GET' ? NEVER_CACHED : {};
}

/** Sends JSON as Hydra's APIs do: one line, a newline at its end. */
export function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {
    'content-type': `application/json${status < 400 || status === 503 ? '; charset=utf-8' : ''}`,
    ...general(response),
    ...headers,
  });
  response.end(`${JSON.stringify(body)}\n`);
}

/** Sends JSON as the OAuth endpoints do. */
export function sendOAuth(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = NO_STORE,
): void {
  response.writeHead(status, { 'content-type': 'application/json;charset=UTF-8', ...headers });
  response.end(`${JSON.stringify(body)}\n`);
}

/** Sends `{"error","error_description"}`. */
export function sendError(
  response: ServerResponse,
  status: number,
  error: string,
  description: string,
): void {
  send(response, status, { error, error_description: description });
}

/** Sends text as Go's router does. @param allow the methods, for a 405 */
export function sendText(response: ServerResponse, status: number, text: string, allow?: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    ...general(response),
    ...(allow === undefined ? {} : { allow }),
  });
  response.end(`${text}\n`);
}

/** Sends the page that the public port has for unknown paths. */
export function sendNotFoundPage(response: ServerResponse): void {
  response.writeHead(404, { 'content-type': 'text/html; charset=utf-8', ...general(response) });
  response.end(
    '<!DOCTYPE html>\n<html><head><title>404</title></head><body><h1>404 Not Found</h1></body></html>\n',
  );
}

/** Sends whatever went wrong in a route: Hydra's own refusals as they are, anything else as 500. */
export function sendFailure(response: ServerResponse, error: unknown): void {
  let known = error;
  if (error instanceof BadBody) known = malformed(error.message);
  if (known instanceof HydraError) sendError(response, known.status, known.error, known.message);
  else sendError(response, 500, 'error', 'The error is unrecognizable');
}

/**
 * Answers the paths that both of Hydra's ports have; false where it is another path.
 *
 * @param database whether the database can be reached
 */
export function health(path: string, response: ServerResponse, database: boolean): boolean {
  if (path === '/health/ready' && !database) {
    send(response, 503, { errors: { database: 'failed to connect to the database' } });
  } else if (path === '/health/alive' || path === '/health/ready') send(response, 200, { status: 'ok' });
  else if (path === '/version') send(response, 200, { version: VERSION });
  else return false;
  return true;
}

/** The Hydra whose answers were recorded. */
const VERSION = 'v26.2.0';
