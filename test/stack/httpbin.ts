import { randomBytes, randomUUID } from 'node:crypto';
import { type IncomingMessage, type RequestListener, type ServerResponse, STATUS_CODES } from 'node:http';
import { type Echo, echo, headersOf, originOf, query } from './httpbin/echo.js';
import { type Listener, listen, type Place } from './listener.js';

/** How much `/bytes` and `/stream` give at most, as the Python one. */
const MOST = { bytes: 100 * 1024, lines: 100, seconds: 10 };

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path's captured parts. */
  readonly parts: readonly string[];
  readonly args: URLSearchParams;
}

type Serve = (exchange: Exchange) => void | Promise<void>;

const ANY = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'TRACE'];

/** Method, path, and what answers them. GET includes HEAD; Node leaves the body out. */
const ROUTES: readonly (readonly [methods: readonly string[], path: RegExp, serve: Serve])[] = [
  [['GET'], /^\/$/, ({ response }) => html(response, 200, '<title>httpbin.org</title>')],
  [['GET'], /^\/get$/, (x) => echoed(x, ['args', 'headers', 'origin', 'url'])],
  [['POST'], /^\/post$/, (x) => echoed(x)],
  [['PUT'], /^\/put$/, (x) => echoed(x)],
  [['PATCH'], /^\/patch$/, (x) => echoed(x)],
  [['DELETE'], /^\/delete$/, (x) => echoed(x)],
  [ANY, /^\/anything(?:\/.*)?$/, (x) => echoed(x, [...EVERYTHING, 'method'])],
  [['GET'], /^\/headers$/, ({ request, response }) => json(response, { headers: headersOf(request) })],
  [['GET'], /^\/ip$/, ({ request, response }) => json(response, { origin: originOf(request) })],
  [['GET'], /^\/user-agent$/, userAgent],
  [['GET'], /^\/uuid$/, ({ response }) => json(response, { uuid: randomUUID() })],
  [['GET'], /^\/cookies$/, cookies],
  [['GET', 'POST'], /^\/response-headers$/, responseHeaders],
  [ANY, /^\/status\/(\d{3})$/, status],
  [ANY, /^\/delay\/(\d+(?:\.\d+)?)$/, delay],
  [['GET'], /^\/bytes\/(\d+)$/, bytes],
  [['GET'], /^\/stream\/(\d+)$/, stream],
  [['GET'], /^\/drip$/, drip],
  [['GET'], /^\/redirect\/(\d+)$/, ({ response, parts }) => redirected(response, Number(parts[0]))],
  [['GET'], /^\/relative-redirect\/(\d+)$/, ({ response, parts }) => redirected(response, Number(parts[0]))],
];

const EVERYTHING = ['args', 'data', 'files', 'form', 'headers', 'json', 'origin', 'url'] as const;

/**
 * Starts an HttpBin: the endpoints of https://httpbin.org that the tutorial and the tests call, answering what the
 * Python one (0.7.0 under gunicorn) answers.
 *
 * @throws PortTaken when the port is in use
 */
export async function startHttpbin(place: Partial<Place> = {}): Promise<Listener> {
  return await listen({ what: 'the HttpBin', host: '127.0.0.1', port: 0, ...place }, handle);
}

const handle: RequestListener = (request, response) => {
  const [path = '/', search = ''] = split(request.url ?? '/');
  const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET');
  response.setHeader('Access-Control-Allow-Origin', request.headers.origin ?? '*');
  response.setHeader('Access-Control-Allow-Credentials', 'true');
  const matching = ROUTES.filter(([, pattern]) => pattern.test(path));
  const allowed = [...new Set(matching.flatMap(([methods]) => methods))];
  if (matching.length === 0) return html(response, 404, '<title>404 Not Found</title>\n<h1>Not Found</h1>');
  if (method === 'OPTIONS') return preflight(response, allowed);
  const route = matching.find(([methods]) => methods.includes(method));
  if (route === undefined) {
    response.setHeader('Allow', allowHeader(allowed));
    return html(response, 405, '<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>');
  }
  const [, pattern, serve] = route;
  const parts = pattern.exec(path)?.slice(1) ?? [];
  const exchange = { request, response, parts, args: new URLSearchParams(search) };
  Promise.resolve(serve(exchange)).catch(() => response.destroy());
};

async function echoed(
  { request, response }: Exchange,
  members: readonly (keyof Echo)[] = EVERYTHING,
): Promise<void> {
  const all = await echo(request);
  json(response, Object.fromEntries(members.map((member) => [member, all[member]])));
}

function userAgent({ request, response }: Exchange): void {
  json(response, { 'user-agent': request.headers['user-agent'] ?? null });
}

function cookies({ request, response }: Exchange): void {
  const pairs = (request.headers.cookie ?? '').split(/;\s*/).filter((pair) => pair.includes('='));
  const split = pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
  json(response, { cookies: Object.fromEntries(split) });
}

/** The answer holds its own headers, its length too: hence the second look. */
function responseHeaders({ response, args }: Exchange): void {
  const wanted = query(args);
  const body: Record<string, unknown> = { 'Content-Type': 'application/json', ...wanted };
  let text = '';
  for (let length = -1; length !== Buffer.byteLength(text); ) {
    length = Buffer.byteLength(text);
    text = serialize({ 'Content-Length': String(length), ...body });
  }
  for (const [name, value] of Object.entries(wanted)) response.setHeader(name, value);
  if (!response.hasHeader('content-type')) response.setHeader('Content-Type', 'application/json');
  response.end(text);
}

/** The statuses that the Python one answers without a type. */
const PLAIN = new Set([301, 302, 303, 304, 305, 307, 401, 407]);

function status({ request, response, parts }: Exchange): void {
  const code = Number(parts[0]);
  request.resume();
  if (code < 200 || code > 599) {
    html(response, 400, 'Invalid status code');
    return;
  }
  if ([301, 302, 303, 305, 307].includes(code)) response.setHeader('Location', '/redirect/1');
  if (code === 401) response.setHeader('WWW-Authenticate', 'Basic realm="Fake Realm"');
  if (code === 407) response.setHeader('Proxy-Authenticate', 'Basic realm="Fake Realm"');
  if (code === 418) {
    response.setHeader('x-more-info', 'http://tools.ietf.org/html/rfc2324');
    response.statusCode = code;
    response.end('\n    -=[ teapot ]=-\n');
    return;
  }
  if (!PLAIN.has(code)) response.setHeader('Content-Type', 'text/html; charset=utf-8');
  if (code !== 204 && code !== 304) response.setHeader('Content-Length', '0');
  response.writeHead(code).end();
}

async function delay(exchange: Exchange): Promise<void> {
  await pause(Math.min(Number(exchange.parts[0]), MOST.seconds), exchange.response);
  const members = EVERYTHING.filter((member) => member !== 'json');
  await echoed(exchange, members);
}

function bytes({ response, parts }: Exchange): void {
  response.setHeader('Content-Type', 'application/octet-stream');
  const body = randomBytes(Math.min(Number(parts[0]), MOST.bytes));
  response.setHeader('Content-Length', body.length);
  response.end(body);
}

/** One JSON line a chunk, as the Python one's `stream_n_messages`. */
async function stream({ request, response, parts }: Exchange): Promise<void> {
  const { url, args, headers, origin } = await echo(request);
  response.setHeader('Content-Type', 'application/json');
  for (let id = 0; id < Math.min(Number(parts[0]), MOST.lines); id++) {
    response.write(`${JSON.stringify({ url, args, headers, origin, id })}\n`);
  }
  response.end();
}

/** `numbytes` asterisks over `duration` seconds after `delay` seconds. */
async function drip({ response, args }: Exchange): Promise<void> {
  const number = (name: string, otherwise: number) => {
    const value = Number(args.get(name) ?? otherwise);
    return Number.isFinite(value) && value >= 0 ? value : otherwise;
  };
  const size = Math.min(number('numbytes', 10), 10 * 1024 * 1024);
  if (size === 0) return html(response, 400, 'number of bytes must be positive');
  await pause(number('delay', 0), response);
  response.writeHead(number('code', 200), {
    'Content-Type': 'application/octet-stream',
    'Content-Length': size,
  });
  const step = number('duration', 2) / size;
  for (let sent = 0; sent < size && !response.destroyed; sent++) {
    response.write('*');
    if (step > 0) await pause(step, response);
  }
  response.end();
}

function redirected(response: ServerResponse, left: number): void {
  response.setHeader('Location', left > 1 ? `/relative-redirect/${left - 1}` : '/get');
  html(response, 302, '<title>Redirecting...</title>\n<h1>Redirecting...</h1>');
}

function preflight(response: ServerResponse, allowed: readonly string[]): void {
  response.setHeader('Allow', allowHeader(allowed));
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST, PUT, DELETE, PATCH, OPTIONS');
  response.setHeader('Access-Control-Max-Age', '3600');
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.setHeader('Content-Length', '0');
  response.end();
}

function allowHeader(methods: readonly string[]): string {
  return [...methods, 'OPTIONS', ...(methods.includes('GET') ? ['HEAD'] : [])].join(', ');
}

function json(response: ServerResponse, body: unknown): void {
  const text = serialize(body);
  response.setHeader('Content-Type', 'application/json');
  response.setHeader('Content-Length', Buffer.byteLength(text));
  response.end(text);
}

/** As Flask's jsonify: keys sorted, a newline at the end. */
function serialize(body: unknown): string {
  const sorted = (_key: string, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return `${JSON.stringify(body, sorted)}\n`;
}

function html(response: ServerResponse, code: number, body: string): void {
  const text = `<!doctype html>\n<html lang=en>\n${body}\n`;
  response.statusMessage = (STATUS_CODES[code] ?? '').toUpperCase();
  response.writeHead(code, {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}

/** Waits, but not longer than the client does. */
async function pause(seconds: number, response: ServerResponse): Promise<void> {
  if (seconds <= 0 || response.destroyed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    response.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function split(url: string): [path: string, search: string] {
  const mark = url.indexOf('?');
  return mark === -1 ? [url, ''] : [url.slice(0, mark), url.slice(mark + 1)];
}
