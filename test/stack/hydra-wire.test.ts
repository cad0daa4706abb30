import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { root } from '../root.js';
import { start } from './authorization-server.js';

/** One request to Hydra and its answer, as it was recorded. */
interface Exchange {
  readonly case: string;
  readonly listener: 'admin' | 'public';
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly status: number;
  readonly answerHeaders: Readonly<Record<string, string>>;
  readonly answer: unknown;
}

/** Exchanges that the local server answers in another way, and why. There are none today. */
const DIFFERENT: Readonly<Record<string, string>> = {};

/** Fields of answers that are compared also where Hydra sent none. */
const COMPARED = ['allow', 'cache-control', 'content-type', 'link', 'location', 'pragma', 'www-authenticate'];

const { exchanges } = JSON.parse(readFileSync(join(root, 'test/vectors/hydra-wire.json'), 'utf8')) as {
  exchanges: Exchange[];
};

/** Values that are not the same in two runs, as regular expressions. */
const VARYING: Readonly<Record<string, string>> = {
  uuid: '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}',
  time: '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?Z',
  ts: '\\d{10}',
  sec: '[A-Za-z0-9_.~-]{6,}',
  tok: '[\\w.-]{40,}',
};

/** Whether an answer's text is the recorded one, in which `<name>` stands for what varies. */
function fits(recorded: string, actual: string, known: Readonly<Record<string, string>>): boolean {
  const escaped = recorded.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const pattern = escaped.replaceAll(/<(\w+)>/g, (all, name: string) => {
    const value = known[name];
    return value === undefined ? (VARYING[name] ?? all) : value.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${pattern}$`).test(actual);
}

/** What differs between a recorded value and an actual one, as paths with both. */
function differences(
  recorded: unknown,
  actual: unknown,
  known: Readonly<Record<string, string>>,
  path = '',
): string[] {
  if (typeof recorded === 'string' && typeof actual === 'string') {
    return fits(recorded, actual, known) ? [] : [`${path}: ${recorded} | ${actual}`];
  }
  const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
  if (!isObject(recorded) || !isObject(actual) || Array.isArray(recorded) !== Array.isArray(actual)) {
    return recorded === actual ? [] : [`${path}: ${JSON.stringify(recorded)} | ${JSON.stringify(actual)}`];
  }
  return [...new Set([...Object.keys(recorded), ...Object.keys(actual)])].flatMap((name) => {
    const [one, other] = [recorded, actual].map((value) => (value as Record<string, unknown>)[name]);
    return differences(one, other, known, `${path}.${name}`);
  });
}

/** The public keys of two servers are never the same, and neither is what a page token holds. */
function withoutVarying(value: string): string {
  return value
    .replaceAll(/page_token=[\w-]{10,}/g, 'page_token=<opaque>')
    .replaceAll(/"n":"[\w-]{300,}"/g, '"n":"<modulus>"')
    .replaceAll(/<!DOCTYPE html>[\s\S]*/gi, '<an HTML page>');
}

t.test('the local server answers every recorded request as Hydra did', async (t) => {
  const server = await start();
  t.teardown(() => server.close());
  /** What `<name>` stands for, from answers so far. */
  const known: Record<string, string> = { iss: server.issuer };
  const basic = (id: string, secret: string) => `Basic ${btoa(`${id}:${secret}`)}`;
  const credentials = (name: string): string => {
    if (name.includes('wrong secret')) return basic(known.id ?? '', 'wrong-secret');
    if (name.includes('unknown client')) return basic('nobody', 'secret');
    return basic(known.id ?? '', known.sec ?? '');
  };
  /** What the recording could not show: the token was changed before it was sent. */
  const bent = (name: string, body: string): string => {
    const token = known.tok ?? '';
    if (name === 'introspect tampered') return body.replace('<tok>', `${token.slice(0, -2)}xx`);
    if (name === 'introspect without prefix') return `token=${token.replace(/^ory_at_/, '')}`;
    return body;
  };
  const fill = (text: string) =>
    text.replaceAll(/<(id|sec|tok|iss)>/g, (all, name: string) => known[name] ?? all);

  const found: Record<string, string[]> = {};
  for (const exchange of exchanges) {
    const { case: name, listener, method, path, answerHeaders } = exchange;
    const headers = Object.fromEntries(
      Object.entries(exchange.headers).map(([field, value]) => [
        field,
        value === 'Basic <credentials>' ? credentials(name) : value,
      ]),
    );
    const base = listener === 'admin' ? server.adminUrl : server.publicUrl;
    const sends = !['GET', 'DELETE'].includes(method);
    const response = await request(base + fill(path), {
      method: method as 'GET',
      headers,
      ...(sends ? { body: fill(bent(name, exchange.body)) } : {}),
    });
    const text = await response.body.text();
    const recorded = exchange.answer;
    const isText = typeof recorded === 'string';
    const actual: unknown = isText || text === '' ? withoutVarying(text) : JSON.parse(withoutVarying(text));
    const wanted = isText ? recorded : JSON.parse(withoutVarying(JSON.stringify(recorded)));

    if (name === 'create') {
      const { client_id: id, client_secret: secret } = actual as Record<string, string>;
      Object.assign(known, { id, sec: secret });
    }
    // A second creation has another secret, and each token is a new one.
    const expected = path.endsWith('/introspect') ? known : { iss: known.iss ?? '', id: known.id ?? '' };
    const problems = differences(wanted, actual, expected);
    if (response.statusCode !== exchange.status)
      problems.unshift(`status: ${exchange.status} | ${response.statusCode}`);
    for (const field of new Set([...COMPARED, ...Object.keys(answerHeaders)])) {
      const given = response.headers[field];
      const [one = '', other = ''] = [answerHeaders[field], given === undefined ? '' : String(given)];
      if (!fits(withoutVarying(one), withoutVarying(other), expected))
        problems.push(`${field}: ${one} | ${other}`);
    }
    if (name === 'token form') known.tok = (actual as { access_token: string }).access_token;
    if (problems.length > 0) found[name] = problems;
  }
  const names = Object.keys(found);
  t.comment(`note: of ${exchanges.length} exchanges with Hydra, ${names.length} differ in the local stack`);
  for (const name of names) t.comment(`note:   ${name}: ${DIFFERENT[name] ?? found[name]?.join('; ')}`);
  t.equal(exchanges.length, 105);
  t.same(names.sort(), Object.keys(DIFFERENT).sort(), 'those that differ are known, and differ still');
});
