import {
  CODINGS,
  FIELDS,
  HOSTS,
  LENGTHS,
  LINE_ENDS,
  METHODS,
  PIECES,
  SIZES,
  TARGETS,
  VERSIONS,
  WHITE,
} from './mutations.js';
import type { Random } from './random.js';

/**
 * Raw requests made from a grammar and broken on purpose. Each request carries a token of its own, so that whatever
 * reaches the upstream can be traced to the bytes it came from: `r-<case>-<n>` grants read, `w-` write, `a-` admin, and
 * `x-` is not active.
 */
interface Model {
  method: string;
  target: string;
  version: string;
  spaces: [string, string];
  lines: string[];
  ends: string;
  blank: string;
  body: string;
}

/** The bytes of one case: one to four requests on one connection. */
export function makeCase(
  random: Random,
  index: number,
): { readonly bytes: Buffer; readonly mutations: number } {
  const count = random.chance(0.7) ? 1 : 2 + random.below(3);
  let serial = 0;
  const token = (scope: string): string => `${scope}-${index}-${serial++}`;
  let mutations = 0;
  let text = '';
  for (let i = 0; i < count; i++) {
    const model = makeRequest(random, token);
    for (let left = random.pick([0, 0, 1, 1, 1, 2, 3]); left > 0; left--) {
      random.pick(STRUCTURAL)(model, random, token);
      mutations++;
    }
    text += write(model);
  }
  for (let left = random.pick([0, 0, 0, 0, 1, 1, 2]); left > 0; left--) {
    text = random.pick(BYTES)(text, random, token);
    mutations++;
  }
  return { bytes: Buffer.from(text, 'latin1'), mutations };
}

function write({ method, target, version, spaces, lines, ends, blank, body }: Model): string {
  const head = [`${method}${spaces[0]}${target}${spaces[1]}${version}`, ...lines]
    .map((line) => line + ends)
    .join('');
  return head + blank + body;
}

type Token = (scope: string) => string;

function makeRequest(random: Random, token: Token): Model {
  const kind = random.below(16);
  const model: Model = {
    method: 'GET',
    target: random.pick(['/get', '/', '/a/b?x=1', '/get?a=%2F', '/admin/../get', '/%67et']),
    version: 'HTTP/1.1',
    spaces: [' ', ' '],
    lines: ['Host: gate.example'],
    ends: '\r\n',
    blank: '\r\n',
    body: '',
  };
  let scope = 'r';
  if (kind < 5) {
    // A plain GET.
  } else if (kind < 6) {
    model.method = 'HEAD';
  } else if (kind < 12) {
    model.method = 'POST';
    model.target = '/post';
    scope = 'w';
    const content = random.chance(0.4) ? smuggled(token) : 'hello world'.repeat(random.below(4));
    if (kind < 9) {
      model.lines.push(`Content-Length: ${content.length}`);
      model.body = content;
    } else {
      model.lines.push('Transfer-Encoding: chunked');
      model.body = chunks(random, content);
    }
  } else if (kind < 13) {
    model.target = random.pick(['/admin', '/admin/x', '/%61dmin', '//admin', '/get/../admin']);
    scope = random.pick(['a', 'r']);
  } else if (kind < 14) {
    scope = random.pick(['x', 'w']);
  } else if (kind < 15) {
    model.method = random.pick([
      'OPTIONS',
      'PUT',
      'DELETE',
      'TRACE',
      'CONNECT',
      'PATCH',
      'PURGE',
      'QUERY',
      'get',
      'PRI',
    ]);
    if (random.chance(0.3)) model.target = '*';
  } else {
    model.lines.push(
      random.pick(['Connection: close', 'Connection: keep-alive', 'Expect: 100-continue', 'X: y']),
    );
  }
  model.lines.push(`Authorization: Bearer ${token(scope)}`);
  if (random.chance(0.3)) model.lines.reverse();
  return model;
}

/** What a smuggler would like the upstream, or the gateway, to take for a request. */
function smuggled(token: Token): string {
  return `GET /admin HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer ${token('a')}\r\n\r\n`;
}

function chunks(random: Random, content: string): string {
  let text = '';
  for (let at = 0; at < content.length; ) {
    const size = Math.min(1 + random.below(40), content.length - at);
    const extension = random.chance(0.15) ? random.pick([';a', ';a=b', ';a="b c"', ';a="\\""']) : '';
    text += `${size.toString(16)}${extension}\r\n${content.slice(at, at + size)}\r\n`;
    at += size;
  }
  const trailer = random.chance(0.1)
    ? random.pick(['X-T: a\r\n', 'X-User: admin\r\n', 'Host: evil\r\n'])
    : '';
  return `${text}0\r\n${trailer}\r\n`;
}

type Structural = (model: Model, random: Random, token: Token) => void;

const STRUCTURAL: readonly Structural[] = [
  (model, random) =>
    insert(
      model.lines,
      random,
      `${framingName(random)}${random.pick(WHITE)}:${random.pick([' ', ' ', ...WHITE])}${random.chance(0.5) ? random.pick(LENGTHS) : random.pick(CODINGS)}`,
    ),
  (model, random) => insert(model.lines, random, `Content-Length: ${random.pick(LENGTHS)}`),
  (model, random) => insert(model.lines, random, `Transfer-Encoding: ${random.pick(CODINGS)}`),
  (model, random) => replaceLine(model, /^content-length/i, `Content-Length: ${random.pick(LENGTHS)}`),
  (model, random) => replaceLine(model, /^transfer-encoding/i, `Transfer-Encoding: ${random.pick(CODINGS)}`),
  (model, random) =>
    replaceLine(
      model,
      /^content-length/i,
      `Content-Length: ${Math.max(0, model.body.length + random.below(9) - 4)}`,
    ),
  (model, random) => replaceLine(model, /^host/i, `Host: ${random.pick(HOSTS)}`),
  (model, random) => insert(model.lines, random, `Host: ${random.pick(HOSTS)}`),
  (model) => replaceLine(model, /^host/i, undefined),
  (model) => replaceLine(model, /^authorization/i, undefined),
  (model, random, token) =>
    insert(model.lines, random, `Authorization: Bearer ${token(random.pick(['r', 'w', 'a', 'x']))}`),
  (model, random, token) =>
    replaceLine(
      model,
      /^authorization/i,
      `Authorization:${random.pick([' ', ...WHITE])}${random.pick(['Bearer', 'bearer', 'Basic', 'Bearer Bearer', ''])}${random.pick([' ', ...WHITE])}${token(random.pick(['r', 'w', 'a']))}${random.pick(['', ',', ' x', '&token=a', '%26', '=', '\0', ';'])}`,
    ),
  (model, random) => insert(model.lines, random, random.pick(FIELDS)),
  (model, random) => insert(model.lines, random, random.pick(FIELDS)),
  (model, random) => insert(model.lines, random, random.pick(FIELDS)),
  (model, random) => {
    // A full WebSocket handshake.
    model.lines.push(
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${random.pick(['dGhlIHNhbXBsZSBub25jZQ==', 'short'])}`,
    );
  },
  (model, random) => {
    const at = random.below(model.lines.length);
    model.lines[at] = `${model.lines[at] ?? ''}${random.pick(LINE_ENDS)}X-Next: 1`;
  },
  (model, random) => {
    // obs-fold.
    const at = random.below(model.lines.length);
    model.lines[at] = (model.lines[at] ?? '').replace(
      /: ?/,
      random.pick([':\r\n ', ':\r\n\t', ': \r\n ', ':\n ']),
    );
  },
  (model, random) => {
    const at = random.below(model.lines.length);
    model.lines[at] = (model.lines[at] ?? '').replace(':', `${random.pick(WHITE)}:`);
  },
  (model, random) => {
    const at = random.below(model.lines.length);
    model.lines[at] = random.pick(WHITE) + (model.lines[at] ?? '');
  },
  (model, random) => insert(model.lines, random, random.pick(model.lines)),
  (model, random) => {
    model.lines = model.lines.map((line) =>
      random.chance(0.5) ? line.replace(/^[^:]*/, (name) => name.toUpperCase()) : line,
    );
  },
  (model, random) => {
    model.method = random.pick(METHODS);
  },
  (model, random) => {
    model.target = random.pick(TARGETS);
  },
  (model, random) => {
    model.target = random.pick(TARGETS);
  },
  (model, random) => {
    model.version = random.pick(VERSIONS);
  },
  (model, random) => {
    model.version = 'HTTP/1.0';
    if (random.chance(0.5)) model.lines.push('Connection: keep-alive');
  },
  (model, random) => {
    model.spaces[random.below(2)] = random.pick(WHITE);
  },
  (model, random) => {
    model.blank = random.pick(LINE_ENDS);
  },
  (model, random) => {
    if (random.chance(0.2)) model.ends = random.pick(LINE_ENDS);
  },
  (model, random) => {
    model.body = model.body.replace(/^[0-9a-f]+(?=\r\n)/, () => random.pick(SIZES));
  },
  (model, random) => {
    // The size of some chunk further on.
    let skip = random.below(4);
    model.body = model.body.replace(/(?<=\r\n)[0-9a-f]+(?=\r\n)/g, (size) =>
      skip-- === 0 ? random.pick(SIZES) : size,
    );
  },
  (model, random) => {
    model.body = model.body.replace('\r\n', random.pick(LINE_ENDS));
  },
  (model, random) => {
    model.body = model.body.replace(
      /0\r\n(?=[^0-9]*$)/,
      `0${random.pick([';x', ' ', '', 'x', '\n'])}${random.pick(['\r\n', ...LINE_ENDS])}`,
    );
  },
  (model, random) => {
    model.body = model.body.slice(0, random.below(model.body.length + 1));
  },
  (model, random, token) => {
    model.body += random.pick([
      smuggled(token),
      '0\r\n\r\n',
      '\r\n',
      '\n',
      'X',
      'GET ',
      smuggled(token).slice(0, 30),
    ]);
  },
  (model, random) => {
    // A body nobody declared, or one on a GET.
    model.body += 'GET /admin HTTP/1.1\r\nHost: gate.example\r\n\r\n';
    if (random.chance(0.5)) insert(model.lines, random, 'Content-Length: 43');
  },
];

function framingName(random: Random): string {
  return random.pick([
    'Content-Length',
    'Transfer-Encoding',
    'content-length',
    'TRANSFER-ENCODING',
    'Content-Length ',
    'Transfer_Encoding',
    'Content-Lengt',
    'Transfer\0-Encoding',
    'Host',
    'Authorization',
  ]);
}

function insert(lines: string[], random: Random, line: string): void {
  lines.splice(random.below(lines.length + 1), 0, line);
}

function replaceLine(model: Model, which: RegExp, by: string | undefined): void {
  const at = model.lines.findIndex((line) => which.test(line));
  if (at === -1) return;
  if (by === undefined) model.lines.splice(at, 1);
  else model.lines[at] = by;
}

type Bytes = (text: string, random: Random, token: Token) => string;

const BYTES: readonly Bytes[] = [
  (text, random) => splice(text, random.below(text.length + 1), 0, random.pick(PIECES)),
  (text, random) => splice(text, random.below(text.length + 1), 0, random.pick(PIECES)),
  (text, random) => splice(text, random.below(text.length + 1), 1, ''),
  (text, random) => splice(text, random.below(text.length + 1), 1, String.fromCharCode(random.below(256))),
  (text, random) => splice(text, random.below(text.length + 1), 1 + random.below(12), ''),
  (text, random) => {
    // A slice twice.
    const at = random.below(text.length + 1);
    return splice(text, at, 0, text.slice(at, at + 1 + random.below(60)));
  },
  (text, random) => {
    // One line end changed.
    const ends = [...text.matchAll(/\r\n/g)];
    if (ends.length === 0) return text;
    return splice(text, random.pick(ends).index, 2, random.pick(LINE_ENDS));
  },
  (text, random) => text.slice(0, random.below(text.length + 1)),
  (text, random) => {
    const lines = text.split('\r\n');
    const from = random.below(lines.length);
    const [moved = ''] = lines.splice(from, 1);
    lines.splice(random.below(lines.length + 1), 0, moved);
    return lines.join('\r\n');
  },
  (text, random, token) => splice(text, random.below(text.length + 1), 0, smuggled(token)),
];

function splice(text: string, at: number, remove: number, put: string): string {
  return text.slice(0, at) + put + text.slice(at + remove);
}
