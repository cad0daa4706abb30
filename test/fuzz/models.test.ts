import t from 'tap';
import { decide } from '../../src/auth/decide.js';
import type { Rule, RuleTable } from '../../src/model/rule.js';
import { readFields } from '../../src/parse/fields.js';
import { readHost } from '../../src/parse/host.js';
import { canonicalTarget } from '../../src/parse/target.js';
import { FAITHFUL, WILFUL } from './models.js';
import { makePath } from './paths.js';
import { Random } from './random.js';

const SEED = 4455;
const CASES = 20_000;

t.test('no path accepted by default is another one to WHATWG URL, Werkzeug, nginx or Go', async (t) => {
  const random = new Random(SEED);
  let accepted = 0;
  for (let i = 0; i < CASES; i++) {
    const raw = makePath(random);
    const target = canonicalTarget(raw, 'gate.example');
    if ('refused' in target || target.marks !== 0) continue;
    accepted++;
    const matched = decodeURIComponent(target.path);
    for (const [name, model] of Object.entries(FAITHFUL)) {
      const resolved = model(target.path);
      if (resolved !== matched) t.fail(`${name} reads ${raw}, sent as ${target.path}, as ${resolved}`);
    }
  }
  t.comment(`seed ${SEED}: ${accepted} of ${CASES} paths accepted`);
  t.ok(accepted > CASES / 3);
});

t.test('whatever a rule opts in to, every server comes to the rule that was matched', async (t) => {
  const random = new Random(SEED + 1);
  const fields = readFields(['Host', 'h'], '1.1');
  if ('refused' in fields) throw new Error('fields');
  const services = { introspect: () => t.fail('nobody asks') as never, now: () => 0 };
  let allowed = 0;
  let marked = 0;
  for (let i = 0; i < CASES * 2; i++) {
    const options = random.below(16);
    const rules = [rule('/admin(?:/.*)?', options), rule('/.*', options)];
    const table = {
      version: 1,
      rules,
      find: (_host: string, _method: string, path: string) => rules.find(({ pattern }) => pattern.test(path)),
    } as unknown as RuleTable;
    const raw = makePath(random, 0.2);
    const target = canonicalTarget(raw, 'h');
    if ('refused' in target) continue;
    const decision = decide({ table, method: 'GET', target, fields, services: services as never });
    if (decision instanceof Promise || !decision.allowed) continue;
    allowed++;
    if (target.marks !== 0) marked++;
    for (const [name, model] of Object.entries(WILFUL)) {
      const resolved = model(decision.path);
      if (resolved === undefined) continue;
      const reached = rules.find(({ pattern }) => pattern.test(resolved));
      if (reached !== decision.rule) {
        t.fail(`${name} reads ${raw}, sent as ${decision.path} under ${decision.rule.id}, as ${resolved}`);
      }
    }
  }
  t.comment(`seed ${SEED + 1}: ${allowed} allowed, ${marked} of them by what the rule opts in to`);
  t.ok(marked > CASES / 50);
});

t.test('an accepted host is one name or address, and the same for every parser', async (t) => {
  const random = new Random(SEED + 2);
  const pieces = [
    'a',
    'gate',
    'example',
    '.',
    '.',
    '..',
    '-',
    '_',
    ':80',
    ':0',
    ':65536',
    ':',
    '[::1]',
    '[',
    ']',
    '::1',
    '127.0.0.1',
    '@',
    '/',
    '\\',
    '%',
    '%2e',
    ' ',
    ',',
    '\t',
    '#',
    '?',
    'é',
    'A',
    '*',
    ';',
    '"',
    '1',
  ];
  let accepted = 0;
  for (let i = 0; i < CASES; i++) {
    let text = '';
    for (let left = 1 + random.below(5); left > 0; left--) text += random.pick(pieces);
    const host = readHost(text);
    if (host === undefined) continue;
    accepted++;
    if (!/^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])$/.test(host)) t.fail(`${text} gives ${host}`);
    if (readHost(host) !== host || readHost(`${host}:8080`) !== host) t.fail(`${host} is not its own host`);
    if (readHost(text.toUpperCase()) !== host) t.fail(`${text} depends on case`);
    // WHATWG takes what ends in a number, and punycode, for more than a name; a rule's host is neither.
    if (host.startsWith('[') || /(?:^|\.)[0-9x][0-9a-f]*\.?$|xn--/.test(host)) continue;
    const { hostname } = new URL(`http://${text}`);
    if (hostname !== host) t.fail(`WHATWG reads ${text} as ${hostname}, not ${host}`);
  }
  t.ok(accepted > CASES / 50, `${accepted} accepted`);
});

function rule(path: string, options: number): Rule {
  const allow = { kind: 'allow', subject: { subject: '' } };
  return {
    id: path,
    pattern: new RegExp(`^(?:${path})$`, 's'),
    strategies: [{ handler: 'allow', requiredScopes: [], authenticate: () => allow }],
    allows: {
      encodedSlash: (options & 1) !== 0,
      encodedPercent: (options & 2) !== 0,
      semicolon: (options & 4) !== 0,
      emptySegments: (options & 8) !== 0,
    },
  } as unknown as Rule;
}
