import { visitRegExpAST } from '@eslint-community/regexpp';
import fc from 'fast-check';
import t from 'tap';
import { canonicalPath } from '../../../src/parse/target.js';
import { isProvablyLinear } from '../../../src/rules/pattern/ambiguity.js';
import { compileOriginPattern, compilePattern } from '../../../src/rules/pattern/pattern.js';
import { parse } from '../../../src/rules/pattern/syntax.js';
import { countSteps } from './backtracker.js';
import { patterns } from './patterns.js';

const refuse = { undecided: 'refuse' } as const;
/** Steps that a short text does not need unless its pattern is slow. */
const LIMIT = 300_000;
/** How many patterns are made up. The analysis of each takes a good part of a second. */
const RUNS = 10;

/** The attack of a message: `'/' + 'a'.repeat(31) + '!'`. */
interface Shown {
  readonly noun: string;
  /** The text, with each pump repeated so often. */
  text(times: (shown: number) => number): string;
}

function shownFor(source: string, message: string): Shown {
  const [, noun = '', expression = ''] =
    / time: .* on the (path|origin) (.*); rewrite it/s.exec(message) ?? [];
  const parts = [...expression.matchAll(/('[^']*'|"(?:[^"\\]|\\.)*")(?:\.repeat\((\d+)\))?(?: \+ |$)/g)];
  if (parts.map(([part]) => part).join('') !== expression || parts.length === 0) {
    throw new Error(`no attack on ${source}: ${message}`);
  }
  const read = (literal: string) =>
    literal.startsWith('"') ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  return {
    noun,
    text: (times) =>
      parts
        .map(([, literal = '', count]) =>
          count === undefined ? read(literal) : read(literal).repeat(times(Number(count))),
        )
        .join(''),
  };
}

/** What is wrong with the attack that is shown for a pattern; undefined if nothing is. */
function wrongWith(source: string, message: string): string | undefined {
  const { text } = shownFor(source, message);
  if ('refused' in canonicalPath(text((count) => count))) return 'no request can have it';
  // An upstream may decode what a client must escape.
  const path = decoded(text(() => 12));
  const twice = decoded(text(() => 24));
  const [once, more] = [path, twice].map((each) => countSteps(source, each, LIMIT)) as [number, number];
  return more >= LIMIT || more > 2.5 * once || repeatsNothing(source)
    ? undefined
    : `it is not slow: ${once} steps, then ${more}`;
}

/**
 * Whether something is repeated that may match nothing. The analysis counts such a repetition as a way of its own; engines
 * do not take it (ECMA-262 §22.2.2.3.1). So it refuses some of these patterns though they are fast.
 */
function repeatsNothing(source: string): boolean {
  let found = false;
  visitRegExpAST(parse(source), {
    onQuantifierEnter({ element }) {
      found ||= new RegExp(`^(?:${element.raw})$`).test('');
    },
  });
  return found;
}

function decoded(path: string): string {
  return path.replace(/%(22|3C|3E|5B|5D|5E|60|7B|7C|7D)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

t.test('what makes a pattern slow is shown with a path that a request can have', (t) => {
  for (const source of [
    ...['/.*.*.*=.*', '/.*.*x.*', '/.*.*:.*', '/(a|a)*b', '/[^/]*[^/]*!', '/(.*)*x', '/(.*)*/(.*)*'],
    ...[
      '/(.*/)*x',
      '/(\\S+)*\\s',
      '/(?:"+)+x',
      "/(?:'+)+x",
      '/(?:%2B|%2B)*x',
      '/(?:/+)+x',
      '/(?:[|]|[|])*[<]',
    ],
  ]) {
    const compiled = compilePattern(source, refuse);
    if (compiled.ok) throw new Error(`${source} is let in`);
    t.equal(wrongWith(source, compiled.message), undefined, `${source}: ${compiled.message}`);
  }
  t.end();
});

t.test('a pattern is let in if it is slow only on texts that no request can have', (t) => {
  for (const [source, ...pumps] of [
    ['/.*:.*:.*:.*', ':', 'a:', '/'],
    ['/.*:.*:.*', ':', 'a', ':/'],
    ['/files/.*-.*-.*', '-', 'files/-'],
    ['/(.*)*', 'a', '/a'],
    ['/a/(?:.*)+', 'a', 'a/'],
    ['/(?:\\.\\.?/)*(?:\\.\\.?/)*x', './', '../'],
    ['/(?:%0)*(?:%0)*x', '%0'],
    ['/(?:#+)+x', '#'],
    ['/(?: +)+x', ' '],
    ['/(?:\\\\+)+x', '\\'],
  ] as [string, ...string[]][]) {
    const compiled = compilePattern(source, refuse);
    if (!compiled.ok) throw new Error(compiled.message);
    for (const pump of pumps) {
      const canonical = canonicalPath(`/${pump}`);
      if ('refused' in canonical || canonical.path !== `/${pump}`) continue;
      for (const suffix of ['', '!', '/', 'x']) {
        const text = `/${pump.repeat(400)}${suffix}`;
        t.ok(countSteps(source, text, 20_000) < 20_000, `${source} on ${text.slice(0, 9)}…${suffix}`);
      }
    }
  }
  t.end();
});

t.test('the attack on any pattern is a path that a request can have, and slow', { timeout: 120_000 }, (t) => {
  let refused = 0;
  fc.assert(
    fc.property(
      patterns.filter((source) => !isProvablyLinear(parse(source), false)),
      (source) => {
        const compiled = compilePattern(source, refuse);
        if (compiled.ok || compiled.code !== 'pattern-backtracking') return;
        refused++;
        const wrong = wrongWith(source, compiled.message);
        if (wrong !== undefined) throw new Error(`${compiled.message}: ${wrong}`);
      },
    ),
    { numRuns: RUNS },
  );
  t.pass(`${refused} of ${RUNS} patterns are refused`);
  t.end();
});

t.test('what is let in takes a bounded number of steps for a character', { timeout: 120_000 }, (t) => {
  let accepted = 0;
  const pumps = ['a', 'b', '0', '/a', 'ab', 'a/', '0a', '-', ':', '"'];
  fc.assert(
    fc.property(
      patterns.filter((source) => !isProvablyLinear(parse(source), false)),
      fc.constantFrom('/', '/a', '/ab', '/a/'),
      fc.constantFrom('', '!', '/', 'b', 'ab'),
      (source, prefix, suffix) => {
        if (!compilePattern(source, refuse).ok) return;
        accepted++;
        for (const pump of pumps) {
          const [once, more] = [60, 120].map((times) =>
            countSteps(source, prefix + pump.repeat(times) + suffix, LIMIT),
          ) as [number, number];
          if (more > 3 * once + 100)
            throw new Error(`${source} on ${prefix}(${pump})*${suffix}: ${once}, ${more}`);
        }
      },
    ),
    { numRuns: RUNS },
  );
  t.pass(`${accepted} of ${RUNS} patterns are let in`);
  t.end();
});

t.test('an expression for origins is safe for every Origin that a client can send', (t) => {
  for (const source of ['https://(\\s|\\s)*x', 'https://(a+)+', '(?:#+)+x']) {
    const compiled = compileOriginPattern(source);
    if (compiled.ok) throw new Error(`${source} is let in`);
    t.equal(compiled.code, 'pattern-backtracking');
    const { noun, text } = shownFor(source, compiled.message);
    t.equal(noun, 'origin', compiled.message);
    t.match(
      text(() => 3),
      /^[\t\x20-\x7e\x80-\xff]+$/,
      'a header field can hold it',
    );
    const [once, more] = [12, 24].map((times) =>
      countSteps(
        source,
        text(() => times),
        LIMIT,
      ),
    );
    t.ok(once === LIMIT || (more as number) > 2.5 * (once as number), `slow on ${compiled.message}`);
  }
  for (const source of [
    ...['https://[a-z0-9-]+\\.example\\.com', 'https://.*:.*', '.*', 'https?://localhost(:\\d+)?'],
    'https://(a|b)\\.example\\.com',
  ]) {
    const compiled = compileOriginPattern(source);
    t.ok(compiled.ok, compiled.ok ? source : compiled.message);
  }
  t.end();
});
