import type { ServerResponse } from 'node:http';
import { HydraError } from './client.js';
import { BadBody } from './form.js';

/** Sends JSON as Hydra does: one line, a newline at its end, never cached. */
export function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'private, no-cache, no-store, must-revalidate',
    ...headers,
  });
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

/** Sends whatever went wrong in a route: Hydra's own refusals as they are, anything else as 500. */
export function sendFailure(response: ServerResponse, error: unknown): void {
  if (error instanceof HydraError) sendError(response, error.status, error.error, error.message);
  else if (error instanceof BadBody) sendError(response, 400, 'invalid_request', error.message);
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
  else if (path === '/version') send(response, 200, { version: 'v2.0.0-local' });
  else return false;
  return true;
}
