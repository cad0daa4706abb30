import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { applyPatch, type Operation } from 'rfc6902';
import { send, sendText } from './answer.js';
import { type Clients, type HydraClient, HydraError, malformed } from './client.js';
import { readBody } from './form.js';

const COLLECTION = '/admin/clients';

/** Hydra's default and largest page. */
const PAGE = { usual: 100, most: 500 };

/** How lists name the next page. */
export type Paging =
  /** By an opaque token, where there is one (v25 and later). */
  | 'keyset'
  /** By an offset that grows without end, as v1 does. */
  | 'endless';

/** What the routes of clients go by. */
export interface ClientRoutes {
  readonly clients: Clients;
  readonly issuer: string;
  readonly paging: Paging;
}

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
  { clients, issuer, paging }: ClientRoutes,
): Promise<boolean> {
  const { pathname } = url;
  if (pathname === COLLECTION) {
    if (request.method === 'GET') list(response, url, clients, paging);
    else if (request.method === 'POST') create(response, await json(request), clients, issuer);
    else sendText(response, 405, 'Method Not Allowed', 'GET, HEAD, POST');
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
    case 'PATCH': {
      const patch = await json(request);
      clients.replace(id, patched(clients.read(id), patch));
      send(response, 200, clients.read(id));
      break;
    }
    case 'DELETE':
      clients.delete(id);
      response.writeHead(204).end();
      break;
    default:
      sendText(response, 405, 'Method Not Allowed', 'DELETE, GET, HEAD, PATCH, PUT');
  }
  return true;
}

/** A creation's answer also has the means of dynamic registration (RFC 7591 §3.2.1). */
function create(response: ServerResponse, document: unknown, clients: Clients, issuer: string): void {
  const client = clients.create(document);
  const { client_id: id } = client;
  // Hydra forgets the id that it has generated.
  const named = (document as { client_id?: unknown }).client_id === id ? `/${id}` : '';
  const registration = {
    registration_access_token: `ory_at_${randomBytes(32).toString('base64url')}`,
    registration_client_uri: `${issuer}/oauth2/register${named}`,
  };
  send(response, 201, { ...client, ...registration }, { location: `${COLLECTION}/${id}` });
}

/** Pages are told by `page_size` and `page_token`, the next one by a `Link` header (RFC 8288). */
function list(response: ServerResponse, url: URL, clients: Clients, paging: Paging): void {
  const query = url.searchParams;
  const size = Math.min(Number(query.get('page_size') ?? PAGE.usual) || PAGE.usual, PAGE.most);
  const start = paging === 'endless' ? Number(query.get('offset') ?? 0) : offsetIn(query.get('page_token'));
  const owner = query.get('owner');
  const name = query.get('client_name');
  const found = clients
    .list()
    .filter((client) => owner === null || client.owner === owner)
    .filter((client) => name === null || client.client_name === name);
  const link = (offset: number, rel: string) => {
    const target = new URLSearchParams(query);
    if (paging === 'endless') target.set('offset', String(offset));
    else target.set('page_token', tokenOf(offset));
    target.set('page_size', String(size));
    target.sort();
    return `<${COLLECTION}?${target}>; rel="${rel}"`;
  };
  const links = [link(0, 'first')];
  if (paging === 'endless' || start + size < found.length) links.push(link(start + size, 'next'));
  send(response, 200, found.slice(start, start + size), {
    link: links.join(','),
    ...(paging === 'endless' ? { 'x-total-count': String(found.length) } : {}),
  });
}

function tokenOf(offset: number): string {
  return Buffer.from(`offset ${offset}`).toString('base64url');
}

function offsetIn(token: string | null): number {
  if (token === null || token === '') return 0;
  const [, offset] = /^offset (\d+)$/.exec(Buffer.from(token, 'base64url').toString()) ?? [];
  if (offset !== undefined) return Number(offset);
  throw malformed('Unable to parse pagination parameters: decode token: illegal base64 data at input byte 0');
}

/** Applies a JSON Patch (RFC 6902) to a client. */
function patched(client: HydraClient, patch: unknown): HydraClient {
  const problem = Array.isArray(patch)
    ? applyPatch(client, patch as Operation[]).find((result) => result !== null)
    : new Error('no list');
  if (problem) throw new HydraError(500, 'error', 'The error is unrecognizable');
  return client;
}

async function json(request: IncomingMessage): Promise<unknown> {
  const body = await readBody(request);
  try {
    return JSON.parse(body.toString());
  } catch {
    throw malformed('Unable to decode the request body: unexpected EOF');
  }
}
