import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import t from 'tap';
import { type Dispatcher, request } from 'undici';
import { parse } from 'yaml';
import { type AdminOptions, createAdmin } from '../../src/admin/server.js';
import { startGateway } from '../../src/app/gateway.js';
import { apiRule, rule, startTestGateway } from '../gateway.js';
import { root } from '../root.js';

/** The parts of OpenAPI 3.1 that the document uses. */
interface ResponseObject {
  readonly $ref?: string;
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly content?: Readonly<Record<string, object>>;
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly requestBody?: object;
  readonly responses: Readonly<Record<string, ResponseObject>>;
}
interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly responses: Readonly<Record<string, ResponseObject>> };
}

const api = parse(readFileSync(join(root, 'docs/admin-api.openapi.yaml'), 'utf8')) as OpenApi;

const ajv = new Ajv2020({
  strict: true,
  allErrors: true,
  allowUnionTypes: true,
  formats: {
    'date-time': /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    uri: (text: string) => URL.canParse(text),
  },
});
// The document itself is no schema, but its schemas refer to each other by their places in it.
ajv.addVocabulary(Object.keys(api));
ajv.addSchema({ $id: 'api:', ...api } as object, undefined, false, false);

/** Every response of the document, by `METHOD path status`. */
const documented = new Map<
  string,
  { readonly response: ResponseObject; readonly place: readonly string[] }
>();
const operations: Operation[] = [];
for (const [path, methods] of Object.entries(api.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    operations.push(operation);
    for (const [status, response] of Object.entries(operation.responses)) {
      const [, name] = /^#\/components\/responses\/(\w+)$/.exec(response.$ref ?? '') ?? [];
      const found = name === undefined ? response : api.components.responses[name];
      if (found === undefined) throw new Error(`${path} ${status}: ${response.$ref} is not there`);
      const place =
        name === undefined ? ['paths', path, method, 'responses', status] : ['components', 'responses', name];
      documented.set(`${method.toUpperCase()} ${path} ${status}`, { response: found, place });
    }
  }
}

/** A check of a schema at a place in the document. */
function compiled(...place: readonly string[]) {
  const pointer = place
    .map((step) => step.replaceAll('~', '~0').replaceAll('/', '~1'))
    .map(encodeURIComponent);
  return ajv.compile({ $ref: `api:#/${pointer.join('/')}` });
}

/** What one request got. */
interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

async function ask(
  url: string,
  method: Dispatcher.HttpMethod,
  headers: Readonly<Record<string, string>> = {},
  body?: string,
): Promise<Answer> {
  const {
    statusCode,
    headers: fields,
    body: stream,
  } = await request(url, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: statusCode, headers: fields, text: await stream.text() };
}

const FOREIGN = { host: 'evil.example' };
const redirect = { handler: 'redirect', config: { to: 'https://login.example/' } };
const RULES = apiRule('gate.example', [
  rule('/.*', ['GET'], 'read'),
  rule('/app', ['GET'], 'read', { scopegate: { errors: [redirect] } }),
  {
    path: '/open',
    methods: ['GET'],
    accessStrategies: [{ handler: 'no_auth' }],
    scopegate: { enforcement: 'observe' },
  },
]);

t.test('every path, method and status of the document is there, with a body by its schema', async (t) => {
  const folder = t.testdir({ token: 'hunter2' });
  const flood = { badTokens: 1 };
  const main = await startTestGateway(t, {
    rules: RULES,
    settings: { introspection: { retries: 0, flood } },
  });
  const guarded = await startTestGateway(t, { settings: { admin: { tokenFile: join(folder, 'token') } } });
  const bare = await startGateway(main.settings, { version: 0, rules: [], find: () => undefined } as never, {
    destination: { write: () => {} },
  });
  t.teardown(() => bare.close());
  const get = (path: string, headers = {}) => ask(main.adminUrl + path, 'GET', headers);
  const post = (path: string, body: string, headers = {}) => ask(main.adminUrl + path, 'POST', headers, body);
  const decide = (path: string, token?: string, more = {}) =>
    get('/decisions', {
      'x-forwarded-method': 'GET',
      'x-forwarded-host': 'gate.example',
      'x-forwarded-uri': path,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...more,
    });
  // Something to show in the state.
  await ask(`${main.url}/x`, 'GET', { host: 'gate.example', authorization: 'Bearer good-read' });
  await ask(`${main.url}/open`, 'GET', { host: 'gate.example' });
  await ask(`${main.url}/x`, 'GET', { host: 'gate.example' });
  await ask(`${main.url}/x`, 'GET', { host: 'other.example' });
  const long = JSON.stringify({ all: true, token: 'x'.repeat(70_000) });
  const question = { method: 'GET', url: 'https://gate.example/x', scopes: ['read'] };
  const explain = JSON.stringify(question);
  const text = { 'content-type': 'text/plain' };

  // In this order: the last ones spend the client's share of unknown tokens, and break the authorization server.
  const cases: Readonly<Record<string, () => Promise<Answer>>> = {
    'GET /health/alive 200': () => get('/health/alive'),
    'GET /health/ready 200': () => get('/health/ready'),
    'GET /health/ready 503': () => ask(`${bare.adminUrl}/health/ready`, 'GET'),
    'GET /.well-known/jwks.json 200': () => get('/.well-known/jwks.json'),
    'GET /status 400': () => get('/status?after=-1'),
    'GET /series 400': () => get('/series?step=7'),
    'POST /explain 200': () => post('/explain', explain),
    'POST /explain 400': () => post('/explain', '{"method":"GET"}'),
    'POST /explain 403': () => post('/explain', explain, { origin: 'https://evil.example' }),
    'POST /explain 413': () => post('/explain', long),
    'POST /explain 415': () => post('/explain', explain, text),
    'POST /cache/purge 200': () => post('/cache/purge', '{"all":true}'),
    'POST /cache/purge 400': () => post('/cache/purge', '{"all":true,"sub":"x"}'),
    'POST /cache/purge 401': () => ask(`${guarded.adminUrl}/cache/purge`, 'POST', {}, '{"all":true}'),
    'POST /cache/purge 403': () => post('/cache/purge', '{"all":true}', FOREIGN),
    'POST /cache/purge 413': () => post('/cache/purge', long),
    'POST /cache/purge 415': () => post('/cache/purge', '{"all":true}', text),
    'GET /decisions 200': () => decide('/x', 'good-read'),
    'GET /decisions 302': () => decide('/app', undefined, { accept: 'text/html' }),
    'GET /decisions 400': () => decide('no-path', 'good-read'),
    'GET /decisions 401': () => decide('/x'),
    'GET /decisions 403': () => decide('/x', 'good-write'),
    'GET /decisions 404': () => decide('/x', 'good-read', { 'x-forwarded-method': 'PUT' }),
    'GET /decisions 405': () => decide('/x', 'good-read', { 'x-forwarded-method': 'TRACE' }),
    'GET /decisions 414': () => decide(`/${'x'.repeat(main.settings.forward.maxTargetBytes)}`),
    'GET /decisions 503': async () => {
      main.endpoint.fault = (_, response) => response.writeHead(500).end();
      const answer = await decide('/x', 'good-admin');
      main.endpoint.fault = undefined;
      return answer;
    },
    'GET /decisions 429': async () => {
      await decide('/x', 'stranger-1');
      return decide('/x', 'stranger-2');
    },
  };
  for (const path of ['/', '/version', '/metrics', '/rules', '/status', '/settings', '/series']) {
    Object.assign(cases, {
      [`GET ${path} 200`]: () => get(path),
      [`GET ${path} 403`]: () => get(path, FOREIGN),
    });
  }
  t.same([...documented.keys()].sort(), Object.keys(cases).sort(), 'each documented response is asked for');

  for (const [name, fetchAnswer] of Object.entries(cases)) {
    const { response, place } = documented.get(name) ?? {};
    const [, path = '', status = ''] = name.split(' ');
    const answer = await fetchAnswer();
    t.equal(String(answer.status), status, name);
    for (const [field, { required }] of Object.entries(response?.headers ?? {})) {
      if (required === true) t.type(answer.headers[field.toLowerCase()], 'string', `${name} has ${field}`);
    }
    const media = String(answer.headers['content-type'] ?? '').split(';', 1)[0] as string;
    const content = response?.content;
    if (content === undefined) {
      t.equal(answer.text, '', `${name} has no body`);
      continue;
    }
    t.same(Object.keys(content), [media], `${name} is of the type that the document says`);
    const body = media.endsWith('json') ? (JSON.parse(answer.text) as object) : answer.text;
    const validate = compiled(...(place ?? []), 'content', media, 'schema');
    t.ok(validate(body), `${name}: ${ajv.errorsText(validate.errors)} ${path}`);
  }
  // The lists that a schema says something about must not have been empty.
  const { recent, pools, servers, counts } = JSON.parse((await get('/status')).text);
  for (const list of [recent, pools, servers, Object.keys(counts)]) t.ok(list.length > 0);

  const asksFor = (schema: string, body: string) =>
    compiled('components', 'schemas', schema)(JSON.parse(body));
  t.ok(asksFor('Question', explain));
  t.notOk(asksFor('Question', '{"method":"GET"}'));
  t.ok(asksFor('Purge', '{"all":true}'));
  t.notOk(asksFor('Purge', '{"all":true,"sub":"x"}'));
});

t.test('every route of the admin listener is in the document', async (t) => {
  const nothing = () => ({});
  const app = createAdmin({
    ...Object.fromEntries(
      ['ready', 'keys', 'rules', 'status', 'series', 'settings', 'explain', 'purge'].map((name) => [
        name,
        nothing,
      ]),
    ),
    decisions: { owns: () => false, answer: () => {} },
    metrics: { contentType: 'text/plain', text: async () => '' },
    access: { hosts: [], isLocal: () => true },
    maxHeaderBytes: 1024,
  } as unknown as AdminOptions);
  t.teardown(() => app.close());
  await app.ready();
  const routes = app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, path, methods] = /([^\s─]\S*) \(([A-Z, ]+)\)$/.exec(line) ?? [];
      const each = (methods ?? '').split(', ').filter((method) => method !== 'HEAD' && method !== '');
      return each.map((method) => `${method} ${path === '/' ? path : `/${path}`}`);
    });
  // Forward-auth is answered before the router.
  const known = [...documented.keys()].map((name) => name.replace(/ \d+$/, ''));
  t.same([...new Set([...routes, 'GET /decisions'])].sort(), [...new Set(known)].sort());
  t.ok(routes.length > 10);
});

t.test('operations have names of their own, and say what they are for', (t) => {
  t.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length);
  for (const { summary, operationId } of operations) t.ok(summary.length > 10, operationId);
  t.end();
});
