import fc from 'fast-check';
import t, { type Test } from 'tap';
import { type ReplyLimits, ReplyReader } from '../../src/outbound/redis/reply-reader.js';

const LIMITS: ReplyLimits = { text: 100, reply: 1_000, elements: 10, depth: 3 };

/** Gives a reader bytes in pieces. @returns whether it accepts all of them */
function accepted(pieces: readonly string[], limits = LIMITS): boolean {
  const reader = new ReplyReader(limits);
  return pieces.map((piece) => reader.accepts(Buffer.from(piece))).every((good) => good);
}

/** Texts as they are, and in pieces of one byte. */
function judge(t: Test, text: string): boolean {
  const whole = accepted([text]);
  t.equal(accepted([...text]), whole, `${JSON.stringify(text.slice(0, 50))}, byte by byte`);
  return whole;
}

const text = (length: number, type = '$'): string => `${type}${length}\r\n${'x'.repeat(length)}\r\n`;

t.test('replies within the limits are accepted, in any pieces', async () => {
  const line = fc.stringMatching(/^[ -~]{0,20}$/);
  const value = fc.letrec<{ value: string; list: string }>((tie) => ({
    value: fc.oneof(
      line.map((each) => `+${each}\r\n`),
      line.map((each) => `-ERR ${each}\r\n`),
      fc.integer().map((each) => `:${each}\r\n`),
      fc.bigInt({ min: -(10n ** 50n), max: 10n ** 50n }).map((each) => `(${each}\r\n`),
      fc.double().map((each) => `,${String(each).replace('Infinity', 'inf').replace('NaN', 'nan')}\r\n`),
      fc.constantFrom(
        '_\r\n',
        '#t\r\n',
        '#f\r\n',
        '$-1\r\n',
        '*-1\r\n',
        '*0\r\n',
        '%0\r\n',
        '=7\r\ntxt:abc\r\n',
      ),
      // Bytes that look like replies are data here.
      fc.constantFrom('', 'x', '\r\n', '*9999999999\r\n').map((each) => `$${each.length}\r\n${each}\r\n`),
      tie('list'),
    ),
    list: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constant('*0\r\n'),
      fc
        .tuple(fc.constantFrom('*', '~', '>'), fc.array(tie('value'), { maxLength: 4 }))
        .map(([type, each]) => `${type}${each.length}\r\n${each.join('')}`),
      fc
        .array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 })
        .map((each) => `%${each.length}\r\n${each.flat().join('')}`),
    ),
  })).value;
  const wide: ReplyLimits = { text: 100, reply: 100_000, elements: 100, depth: 100 };
  fc.assert(
    fc.property(fc.array(value, { maxLength: 8 }), fc.array(fc.nat(50)), (replies, cuts) => {
      const all = replies.join('');
      const pieces: string[] = [];
      let at = 0;
      for (const cut of cuts) {
        pieces.push(all.slice(at, at + cut));
        at += cut;
      }
      pieces.push(all.slice(at));
      return accepted(pieces, wide);
    }),
    { numRuns: 500 },
  );
});

t.test('what exceeds a limit is refused as soon as that is known', async (t) => {
  for (const [what, good, bad] of [
    ['a text', text(100), '$101\r\n'],
    ['a text of a format', text(100, '='), '=101\r\n'],
    ['an error', text(100, '!'), '!101\r\n'],
    ['an array', `*10\r\n${':1\r\n'.repeat(10)}`, '*11\r\n'],
    ['a set', `~10\r\n${':1\r\n'.repeat(10)}`, '~11\r\n'],
    ['a message', `>10\r\n${':1\r\n'.repeat(10)}`, '>11\r\n'],
    ['a map', `%5\r\n${':1\r\n'.repeat(10)}`, '%6\r\n'],
    ['a depth', '*1\r\n*1\r\n*1\r\n:1\r\n', '*1\r\n*1\r\n*1\r\n*1\r\n'],
    ['a depth of none', '*1\r\n*1\r\n*1\r\n_\r\n', '*1\r\n*1\r\n*1\r\n*0\r\n'],
    ['all of a reply', `*9\r\n${text(100).repeat(9)}`, `*10\r\n${text(100).repeat(10)}`],
    ['many replies', text(100).repeat(50), `${text(100).repeat(50)}$101\r\n`],
    ['a number', ':123456789012345678901234567890\r\n', `:${'1'.repeat(64)}`],
    ['a message of a line', `+${'x'.repeat(900)}\r\n`, `+${'x'.repeat(16_384)}`],
  ] as const) {
    t.ok(judge(t, good), `${what} at its limit`);
    t.notOk(judge(t, bad), `${what} beyond it`);
  }
  const reader = new ReplyReader(LIMITS);
  t.notOk(reader.accepts(Buffer.from('$101\r\n')));
  t.notOk(reader.accepts(Buffer.from('+OK\r\n')), 'from then on always');
});

t.test('what the library could read in another way is refused', async (t) => {
  for (const bytes of [
    '+a\n',
    '+a\rb\r\n',
    '+a\r\r\n',
    '$5\n',
    '$\r\n',
    '$+5\r\nhello\r\n',
    '$-2\r\n',
    '$5x\r\n',
    '$?\r\n',
    '*?\r\n',
    '*-2\r\n',
    '>-1\r\n',
    '%-1\r\n',
    '$1e2\r\n',
    '=3\r\nabc\r\n',
    '_x\r\n',
    '#true\r\n',
    '#\r\n',
    ':\r\n',
    ':1.5\r\n',
    ':x\r\n',
    ',\r\n',
    ',one\r\n',
    '(1n\r\n',
    '|1\r\n+a\r\n+b\r\n',
    '\r\n',
    '\n',
    '\0',
    'OK\r\n',
    'HTTP/1.1 200 OK\r\n',
  ])
    t.notOk(judge(t, bytes), JSON.stringify(bytes));
});
