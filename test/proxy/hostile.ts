import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { Client } from 'undici';
import { Random } from '../fuzz/random.js';
import { apiRule, type Scope, startTestGateway, type TestGateway } from '../gateway.js';
import { answerOf, startTlsGateway } from '../streams.js';

/** What a hostile upstream says to one request. */
interface HostileAnswer {
  readonly bytes: Buffer;
  /** What it does to the connection after them. */
  readonly end: 'keep' | 'fin' | 'reset';
  /** Where the bytes are cut into two writes. */
  readonly cut: number;
}

/** What came of a run. */
export interface HostileReport {
  readonly answers: number;
  /** How often a client was told which status; 0 stands for a broken connection or stream. */
  readonly statuses: Record<string, number>;
  /** What must not happen, in words. */
  readonly violations: string[];
}

const STATUSES = [200, 200, 200, 200, 201, 204, 205, 206, 301, 304, 400, 401, 404, 500, 503, 599, 600, 999];
const NAMES = [
  ...['Content-Length', 'Transfer-Encoding', 'Connection', 'Keep-Alive', 'Trailer', 'TE', 'Upgrade'],
  ...['Proxy-Connection', 'HTTP2-Settings', 'Proxy-Authenticate', 'Date', 'ETag', 'Expires', 'Last-Modified'],
  ...[
    'Location',
    'Retry-After',
    'Age',
    'Content-Type',
    'Content-Encoding',
    'Content-Language',
    'Content-MD5',
  ],
  ...['Content-Location', 'Content-Range', 'X-Content-Type-Options', 'X-Frame-Options', 'Cache-Control'],
  ...['Set-Cookie', 'Vary', 'WWW-Authenticate', 'Access-Control-Allow-Credentials', 'Access-Control-Max-Age'],
  ...['Access-Control-Allow-Origin', 'Access-Control-Request-Method', 'DNT', 'TK', 'Host', 'From', 'Range'],
  ...[
    'Authorization',
    'Proxy-Authorization',
    'User-Agent',
    'Referer',
    'If-Match',
    'If-Range',
    'Max-Forwards',
  ],
  ...['Upgrade-Insecure-Requests', 'Expect', 'Cookie', 'Link', 'Server', 'Via', 'Warning', '__proto__'],
  ...['constructor', 'toString', 'x', "x!#$%&'*+-.^_`|~", 'Status', 'X-Trailer'],
];
const BROKEN_NAMES = ['HTTP/1.1', ':status', ':path', 'a b', '', 'é', 'a\x00', '"a"'];
const VALUES = [
  ...[
    '',
    '0',
    '2',
    '5',
    '-1',
    'a',
    'nosniff',
    'close',
    'keep-alive',
    'chunked',
    'gzip',
    'identity',
    'trailers',
  ],
  ...[
    'h2c',
    'websocket',
    'text/plain',
    'content-length',
    'Content-Length, Date',
    'transfer-encoding',
    'date, etag',
  ],
  ...[
    'X-Trailer',
    'x-trailer, content-length, etag, __proto__',
    'a=b; Path=/',
    'é',
    'ÿ\u0080',
    'a\tb',
    ' a ',
    '*',
  ],
  ...['Thu, 01 Jan 1970 00:00:00 GMT', '"tag"', 'W/"x"', 'x'.repeat(3000)],
];
const BROKEN_VALUES = ['a\x00b', 'a\x7fb', 'a\rb', 'a\nX: y', 'a\r\n b'];
/** What an upstream would like to be taken for another one's answer. */
const POISON = 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nPOISONED';
const INTERIM = ['100 Continue', '102 Processing', '103 Early Hints', '199 Odd', '101 Switching Protocols'];
const BODIES = ['', 'ok', 'hello', 'x'.repeat(20_000), POISON, `3\r\nabc\r\n0\r\n\r\n${POISON}`];

/** An answer of which most is as it should be, and any part may not. */
function hostileAnswer(random: Random): HostileAnswer {
  const parts: string[] = [];
  while (random.chance(0.08)) {
    parts.push(`HTTP/1.1 ${random.pick(INTERIM)}\r\n${random.chance(0.5) ? '' : fieldLine(random)}\r\n`);
  }
  const version = random.chance(0.05) ? random.pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/1.2', 'ICY']) : 'HTTP/1.1';
  const reason = random.chance(0.1) ? random.pick([' é', '', '  two', ' a\tb', ' \x01']) : ' OK';
  parts.push(`${version} ${random.pick(STATUSES)}${reason}\r\n`);
  const lines: string[] = [];
  for (let i = random.below(5); i > 0; i--) {
    const line = fieldLine(random);
    lines.push(line);
    // Twice, or twice with different values.
    if (random.chance(0.35)) lines.push(line);
    if (random.chance(0.2)) lines.push(`${line.slice(0, line.indexOf(':'))}: ${random.pick(VALUES)}\r\n`);
  }
  const body = random.pick(BODIES);
  const framing = random.below(10);
  let text = body;
  if (framing < 4)
    lines.push(`Content-Length: ${body.length + (random.chance(0.1) ? random.below(9) - 4 : 0)}\r\n`);
  else if (framing < 8) {
    lines.push('Transfer-Encoding: chunked\r\n');
    if (random.chance(0.4)) lines.push(`Trailer: ${random.pick(NAMES)}, X-Trailer\r\n`);
    text = chunks(random, body);
  }
  if (random.chance(0.15)) lines.push(`Connection: ${random.pick(NAMES)}, ${random.pick(NAMES)}\r\n`);
  parts.push(...shuffled(random, lines), '\r\n', text);
  if (random.chance(0.15)) parts.push(random.pick([POISON, '\r\n', 'x']));
  let bytes = Buffer.from(parts.join(''), 'latin1');
  const short = random.chance(0.08);
  if (short) bytes = bytes.subarray(0, random.below(bytes.length + 1));
  // What is not whole waits for a timeout where its end does not come.
  const waits = random.chance(0.02);
  const end =
    !waits && (short || framing >= 8 || random.chance(0.5)) ? (random.chance(0.3) ? 'reset' : 'fin') : 'keep';
  return { bytes, end, cut: random.chance(0.3) ? random.below(bytes.length + 1) : 0 };
}

function fieldLine(random: Random): string {
  const name = random.pick(random.chance(0.02) ? BROKEN_NAMES : NAMES);
  const value = random.pick(random.chance(0.02) ? BROKEN_VALUES : VALUES);
  const written = random.chance(0.2) ? name.toLowerCase() : name;
  return `${written}${random.chance(0.01) ? ' ' : ''}: ${value}\r\n`;
}

function chunks(random: Random, body: string): string {
  const size = random.chance(0.1) ? random.pick(['-1', 'g', '0x2', '2 ', '']) : body.length.toString(16);
  const first = body === '' ? '' : `${size}${random.chance(0.1) ? ';a="b"' : ''}\r\n${body}\r\n`;
  let trailers = '';
  while (random.chance(0.4)) trailers += random.chance(0.5) ? 'X-Trailer: t\r\n' : fieldLine(random);
  return random.chance(0.08) ? first : `${first}0\r\n${trailers}\r\n`;
}

function shuffled(random: Random, lines: readonly string[]): string[] {
  const left = [...lines];
  const mixed: string[] = [];
  while (left.length > 0) mixed.push(...left.splice(random.below(left.length), 1));
  return mixed;
}

/** The rules of a run: one upstream answers as it likes, the other one in its own words. */
const RULES = ['hostile', 'bystander']
  .map((name) =>
    apiRule(
      `${name}.example`,
      [
        {
          path: '/.*',
          methods: ['GET', 'HEAD', 'POST', 'PUT'],
          accessStrategies: [{ handler: 'noop' }],
          service: { name, port: 80 },
          timeout: 1,
        },
      ],
      name,
    ),
  )
  .join('\n---\n');

/**
 * Has an upstream give hostile answers to clients of HTTP/1.1 and HTTP/2, and asks another upstream's service after
 * each: what that client gets must be its own answer, and the gateway must live. Over HTTP/1.1 both requests share a
 * connection, the second behind the first (RFC 9112 §9.3.2), and the answers are read by undici's parser, which is
 * llhttp.
 */
export async function hostileRun(t: Scope, answers: number, seed: number): Promise<HostileReport> {
  const hostile = await startHostile(t);
  const settings = { services: { hostile: hostile.url }, forward: { idleTimeout: '1s' } };
  const options = {
    rules: RULES,
    settings,
    respond: (message: { url?: string | undefined }, response: { end(text: string): void }) =>
      response.end(`bystander ${message.url}`),
  };
  const plain = await startTestGateway(t, options);
  const tls = await startTlsGateway(t, options);
  const report: HostileReport = { answers, statuses: {}, violations: [] };
  let next = 0;
  const session = await tls.session();
  let current = session;
  async function http2(path: string, method: string): Promise<void> {
    if (current.destroyed || current.closed) current = await tls.session();
    const body = method === 'POST' ? 'body' : undefined;
    const stream = current.request(
      { ':method': method, ':path': path, ':authority': 'hostile.example' },
      { endStream: body === undefined },
    );
    if (body !== undefined) stream.end(body);
    const answer = await answerOf(stream);
    count(report, answer.status);
    if (current.destroyed || current.closed) current = await tls.session();
    const other = await answerOf(
      current.request({ ':method': 'GET', ':path': path, ':authority': 'bystander.example' }),
    );
    if (other.status !== 200 || other.body.toString() !== `bystander ${path}`)
      report.violations.push(
        `HTTP/2, seed ${seed}, ${path}: the other client got ${other.status} ${other.body}`,
      );
  }
  async function http1(client: Client, path: string, method: 'GET' | 'HEAD' | 'POST'): Promise<void> {
    const headers = { host: 'hostile.example' };
    const body = method === 'POST' ? 'body' : null;
    const first = client.request({ method, path, headers, body, idempotent: true, blocking: false });
    const second = client.request({ method: 'GET', path, headers: { host: 'bystander.example' } });
    await Promise.all([
      first.then(
        async (answer) => {
          count(report, answer.statusCode);
          // What is broken off in its body is an error of the body.
          await answer.body.text().catch(() => count(report, 0));
        },
        () => count(report, 0),
      ),
      second.then(
        async ({ statusCode, body }) => {
          const text = await body.text();
          if (statusCode !== 200 || text !== `bystander ${path}`)
            report.violations.push(
              `HTTP/1.1, seed ${seed}, ${path}: the other request got ${statusCode} ${text}`,
            );
        },
        // The connection may have ended with the first answer: then it must serve on a new one.
        async () => {
          const { statusCode, body } = await client.request({
            method: 'GET',
            path,
            headers: { host: 'bystander.example' },
          });
          const text = await body.text();
          if (statusCode !== 200 || text !== `bystander ${path}`)
            report.violations.push(
              `HTTP/1.1, seed ${seed}, ${path}: another client got ${statusCode} ${text}`,
            );
        },
      ),
    ]);
  }
  const worker = async (): Promise<void> => {
    const client = new Client(plain.url, { pipelining: 2, bodyTimeout: 20_000, headersTimeout: 20_000 });
    while (next < answers && report.violations.length < 10) {
      // Each has a generator of its own: whatever order they end in, the same seed gives the same answers.
      const random = new Random(seed * 1_000_003 + next);
      const path = `/${next++}`;
      const method = random.pick(['GET', 'GET', 'HEAD', 'POST'] as const);
      hostile.answers.set(path, hostileAnswer(random));
      await (random.chance(0.5) ? http1(client, path, method) : http2(path, method));
      hostile.answers.delete(path);
    }
    await client.close();
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  await turn();
  for (const gateway of [plain, tls]) faultsOf(gateway, report);
  return report;
}

/** Exceptions are contained, and still each is a bug. */
function faultsOf({ log }: TestGateway, report: HostileReport): void {
  for (const line of log) {
    if (line.msg === 'request failed') report.violations.push(`exception: ${JSON.stringify(line)}`);
  }
}

function count({ statuses }: HostileReport, status: number): void {
  statuses[status] = (statuses[status] ?? 0) + 1;
}

async function startHostile(
  t: Scope,
): Promise<{ readonly url: string; readonly answers: Map<string, HostileAnswer> }> {
  const answers = new Map<string, HostileAnswer>();
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.setNoDelay(true);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const path = /^[A-Z]+ (\/\d+) HTTP[\s\S]*?\r\n\r\n/.exec(text)?.[1];
      if (path === undefined) return;
      text = '';
      const answer = answers.get(path);
      if (answer === undefined) {
        socket.destroy();
        return;
      }
      const { bytes, cut, end } = answer;
      const finish = (): void => {
        socket.write(bytes.subarray(cut));
        if (end === 'fin') socket.end();
        else if (end === 'reset') socket.resetAndDestroy();
      };
      if (cut === 0) finish();
      else {
        socket.write(bytes.subarray(0, cut));
        setImmediate(finish);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, answers };
}
