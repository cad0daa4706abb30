import type { IncomingMessage, ServerResponse } from 'node:http';
import { applyPatch, type Operation } from 'rfc6902';
import { send, sendError } from './answer.js';
import { type Clients, type HydraClient, HydraError } from './client.js';
import { readBody } from './form.js';

const COLLECTION = '/admin/clients';

/** Hydra's default and largest page. */
const PAGE = { usual: 250, most: 500 };

/**
 * Serves `/admin/clients` and `/admin/clients/{id}`.
 *
 * @param url the request's path (with the `/admin` prefix) and query
 * @returns false where it is another path
 * @throws HydraError for a refusal
 */
export async function serveClients(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  clients: Clients,
): Promise<boolean> {
  const { pathname } = url;
  if (pathname === COLLECTION) {
    if (request.method === 'GET') list(response, url, clients);
    else if (request.method === 'POST') send(response, 201, clients.create(await json(request)));
    else sendError(response, 405, 'Method Not Allowed', '');
    return true;
  }
  if (!pathname.startsWith(`${COLLECTION}/`)) return false;
  const id = decodeURIComponent(pathname.slice(COLLECTION.length + 1));
  switch (request.method) {
    case 'GET':
      send(response, 200, clients.read(id));
      break;
    case 'PUT':
      send(response, 200, clients.replace(id, await json(request)));
      break;
    case 'PATCH':
      send(response, 200, clients.replace(id, patched(clients.read(id), await json(request))));
      break;
    case 'DELETE':
      clients.delete(id);
      response.writeHead(204).end();
      break;
    default:
      sendError(response, 405, 'Method Not Allowed', '');
  }
  return true;
}

/** Pages are told by `page_size` and `page_token`, the next one by a `Link` header (RFC 8288). */
function list(response: ServerResponse, url: URL, clients: Clients): void {
  const query = url.searchParams;
  const size = Math.min(Number(query.get('page_size') ?? PAGE.usual) || PAGE.usual, PAGE.most);
  const start = Number(query.get('page_token') ?? 0) || 0;
  const owner = query.get('owner');
  const name = query.get('client_name');
  const found = clients
    .list()
    .filter((client) => owner === null || client.owner === owner)
    .filter((client) => name === null || client.client_name === name);
  const link = (offset: number, rel: string) => {
    const target = new URLSearchParams(query);
    target.set('page_size', String(size));
    target.set('page_token', String(offset));
    return `<${COLLECTION}?${target}>; rel="${rel}"`;
  };
  const links = [link(0, 'first')];
  if (start + size < found.length) links.push(link(start + size, 'next'));
  send(response, 200, found.slice(start, start + size), {
    link: links.join(','),
    'x-total-count': String(found.length),
  });
}

/** Applies a JSON Patch (RFC 6902) to a client. */
function patched(client: HydraClient, patch: unknown): HydraClient {
  if (!Array.isArray(patch)) throw new HydraError(400, 'invalid_request', 'The body must be a JSON Patch.');
  const problem = applyPatch(client, patch as Operation[]).find((result) => result !== null);
  if (problem !== undefined) throw new HydraError(400, 'invalid_request', problem.message);
  return client;
}

async function json(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request);
  try {
    return JSON.parse(body.toString());
  } catch {
    throw new HydraError(400, 'invalid_request', 'Unable to decode the request body as JSON.');
  }
}
