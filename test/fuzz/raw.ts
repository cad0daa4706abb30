import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { canonicalTarget } from '../../src/parse/target.js';
import { startChild } from '../child.js';
import { apiRule, rule } from '../gateway.js';
import { sendRaw } from '../wire.js';
import { Line, show, UNWANTED } from './line.js';
import { makeCase } from './mutate.js';
import { Random } from './random.js';
import { startRecorder } from './recorder.js';
import { isLast, type Reading, readRequests, type StrictRequest, values } from './strict.js';

/** How a run of the fuzzer went. */
export interface FuzzReport {
  readonly cases: number;
  /** Single changes that were made to well-formed requests. */
  readonly mutations: number;
  readonly seconds: number;
  /** Requests the strict reading finds in what was sent. */
  readonly sent: number;
  readonly forwarded: number;
  readonly connections: number;
  readonly statuses: Readonly<Record<string, number>>;
  /** What must not have happened, each with the bytes that did it. */
  readonly violations: readonly string[];
}

/** One request that may reach the upstream, once. */
interface Ticket {
  readonly request: StrictRequest;
  readonly address: string;
  used: boolean;
}

const RULES = apiRule('gate.example', [
  rule('/.*', ['GET', 'HEAD'], 'read'),
  rule('/post', ['POST'], 'write'),
  rule('/admin(/.*)?', ['GET'], 'admin'),
]);
const SCOPES: Readonly<Record<string, string>> = { r: 'read', w: 'write', a: 'admin' };
const BEARER = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;
const MAX_VIOLATIONS = 20;
const WORKERS = 48;

/**
 * Sends so many cases to a gateway in a process of its own, and holds every request at its upstream, every answer and
 * the process itself against what a strict reading of the bytes allows.
 */
export async function fuzz(t: Test, cases: number, seed: number): Promise<FuzzReport> {
  const tickets = new Map<string, Ticket[]>();
  const history = new Map<number, string>();
  const violations: string[] = [];
  const statuses: Record<string, number> = {};
  const totals = { mutations: 0, sent: 0, forwarded: 0, connections: 0 };

  function violate(what: string, bytes: string): void {
    if (violations.length < MAX_VIOLATIONS) violations.push(`${what}\n${bytes}`);
  }
  function origin(text: string): string {
    return [...text.matchAll(/[rwax]-(\d+)-\d+/g)]
      .map(([, index]) => `case ${index}: ${history.get(Number(index)) ?? 'long ago'}`)
      .join('\n');
  }

  const introspection = createServer((message, response) => {
    let body = '';
    message.on('data', (chunk) => {
      body += chunk;
    });
    message.on('end', () => {
      const token = new URLSearchParams(body).get('token') ?? '';
      if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token))
        violate(`asked about ${JSON.stringify(token)}`, origin(token));
      const scope = SCOPES[token[0] ?? ''];
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify(scope === undefined ? { active: false } : { active: true, scope, sub: 's' }),
      );
    });
  });
  introspection.listen(0, '127.0.0.1');
  await once(introspection, 'listening');
  t.teardown(() => introspection.close());

  const recorder = await startRecorder({
    early: ({ fields }) => /-\d*7-/.test(values(fields, 'authorization').join()),
    broken: (bytes) =>
      violate(
        'the upstream got bytes that are no HTTP',
        `${show(bytes)}\n${origin(bytes.toString('latin1'))}`,
      ),
    request: (request) => {
      totals.forwarded++;
      const problem = judge(request, recorder.authority, tickets);
      if (problem === undefined) return;
      const text = JSON.stringify({ ...request, body: request.body.toString('latin1') });
      violate(problem, `${text}\n${origin(text)}`);
    },
  });
  t.teardown(() => recorder.close());

  const port = (introspection.address() as AddressInfo).port;
  const child = await startChild(
    t,
    {
      services: { default: recorder.url },
      introspection: {
        url: `http://127.0.0.1:${port}/`,
        cache: { maxEntries: 1000, negativeMaxEntries: 1000 },
      },
      matching: { overlap: 'specific' },
      server: { headersTimeout: '1s', bodyIdleTimeout: '1s' },
      log: { audit: false, level: 'info' },
    },
    RULES,
  );
  const before = openFiles(child.process.pid as number);

  let next = 0;
  async function work(worker: number): Promise<void> {
    const address = `127.0.0.${2 + (worker % 40)}`;
    let line: Line | undefined;
    // What was sent before on the same connection.
    let behind = '';
    while (next < cases && violations.length < MAX_VIOLATIONS && child.process.exitCode === null) {
      const index = next++;
      // Each case has its own generator, so that it is the same whatever the others did meanwhile.
      const random = new Random(seed ^ Math.imul(index + 1, 0x9e3779b1));
      const { bytes, mutations } = makeCase(random, index);
      const reading = readRequests(bytes, true);
      const patient = index % 500 === 0;
      const pieces = random.chance(0.3) ? 1 + random.below(bytes.length + 1) : bytes.length;
      history.set(index, show(bytes));
      history.delete(index - 20_000);
      totals.mutations += mutations;
      totals.sent += reading.requests.length;
      issue(tickets, reading, address);
      if (line === undefined || line.closed) {
        line = await Line.open(child.port, address);
        totals.connections++;
        behind = 'nothing';
      }
      const problem = await line.exchange(bytes, pieces, reading, patient, mutations === 0, statuses);
      if (problem !== undefined)
        violate(problem, `case ${index}: ${show(bytes)}\nanswers: ${line.shown()}\nbehind: ${behind}`);
      behind = show(bytes);
      // Line ends behind the last request, and chunk extensions of odd form, are nothing to one reader and a fault to
      // another, which ends the connection a moment later.
      const clean =
        reading.rest === 'clean' &&
        reading.end === bytes.length &&
        !reading.requests.some((request) => isLast(request) || (request.chunked && mutations > 0));
      if (line.closed || line.last || !clean || random.chance(0.1)) {
        line.destroy();
        line = undefined;
      }
    }
    line?.destroy();
  }

  const started = performance.now();
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
  const seconds = (performance.now() - started) / 1000;

  if (child.process.exitCode !== null || child.process.signalCode !== null) {
    violate('the gateway died', child.output().slice(-2000));
  } else {
    const bytes = 'GET /get HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer r-0-last\r\n\r\n';
    issue(tickets, readRequests(Buffer.from(bytes), true), '127.0.0.1');
    const { answers } = await sendRaw(child.port, bytes);
    if (answers[0]?.status !== 200) violate(`not healthy at the end: ${answers[0]?.status}`, bytes);
    // What is left must be the idle connections of its pools; everything of the clients has to be gone.
    const left = await settled(() => openFiles(child.process.pid as number) - recorder.sockets.size - before);
    if (left > 140) violate(`${left} files stay open`, `${before} before`);
  }
  const output = child.output();
  if (/"level":(?:50|60)|Error:|Warning:/.test(output))
    violate('the gateway complained', output.slice(-4000));
  return { cases: next, seconds, statuses, violations, ...totals };
}

/** Writes down what may reach the upstream. */
function issue(tickets: Map<string, Ticket[]>, { requests, partial }: Reading, address: string): void {
  for (const request of partial === undefined ? requests : [...requests, partial]) {
    const credentials = values(request.fields, 'authorization');
    const hosts = values(request.fields, 'host');
    if (credentials.length !== 1 || hosts.length !== 1) continue;
    if (!/^gate\.example(?::\d{1,5})?$/i.test(hosts[0] as string)) continue;
    const token = BEARER.exec(credentials[0] as string)?.[1];
    if (token === undefined) continue;
    const same = tickets.get(token) ?? [];
    same.push({ request, address, used: false });
    tickets.set(token, same);
    if (tickets.size > 60_000) tickets.delete(tickets.keys().next().value as string);
  }
}

/** Why a request should not have reached the upstream, or not like this. */
function judge(got: StrictRequest, authority: string, tickets: Map<string, Ticket[]>): string | undefined {
  const { method, target, version, fields, body, complete } = got;
  const token = BEARER.exec(values(fields, 'authorization').join(' and '))?.[1];
  if (token === undefined) return 'a request without one credential';
  const path = target.split('?')[0] as string;
  const scope = /^\/admin(?:\/.*)?$/.test(path) && method === 'GET' ? 'a' : method === 'POST' ? 'w' : 'r';
  if (!token.startsWith(scope)) return 'a request without its scope';
  if (method !== 'GET' && method !== 'HEAD' && !(method === 'POST' && path === '/post'))
    return 'a request no rule allows';
  if (version !== '1.1') return 'another HTTP version';
  if (values(fields, 'host').join(' and ') !== authority) return 'not exactly its own Host';
  const webSocket = fields.some(([name]) => name === 'sec-websocket-key');
  for (const [name, value] of fields) {
    if (UNWANTED.test(name) || (name === 'upgrade' && !webSocket)) return `the field ${name}`;
    if (name === 'connection' && !/^(?:keep-alive|close)$/.test(value) && !webSocket)
      return `Connection: ${value}`;
    if (/evil|1\.2\.3\.4/.test(value) && /^(?:host|forwarded|x-forwarded-.*|via)$/.test(name))
      return `a false ${name}`;
  }
  const framings = values(fields, 'content-length').length + values(fields, 'transfer-encoding').length;
  if (framings > 1) return 'more than one framing';

  // Changed bytes can make the same token twice; the address tells which client it was.
  const from = values(fields, 'x-forwarded-for').join();
  const ticket = (tickets.get(token) ?? []).find(
    ({ request, address, used }) =>
      !used &&
      address === from &&
      request.method === method &&
      sameTarget(request, target) &&
      (complete
        ? request.complete && request.body.equals(body)
        : request.body.subarray(0, body.length).equals(body)),
  );
  if (ticket === undefined) return 'a request that no client sent, or not that one';
  ticket.used = true;
  return undefined;
}

function sameTarget({ target, fields }: StrictRequest, sent: string): boolean {
  const canonical = canonicalTarget(target, values(fields, 'host')[0]);
  return !('refused' in canonical) && canonical.path + canonical.query === sent;
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** A count when it has come to rest. */
async function settled(count: () => number): Promise<number> {
  let last = count();
  for (let same = 0, tries = 0; same < 5 && tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const now = count();
    same = now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}
