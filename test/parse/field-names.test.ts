import fc from 'fast-check';
import t from 'tap';
import { isFieldName, lowerName } from '../../src/parse/field-names.js';
import { TOKEN } from '../../src/parse/grammar.js';

/** Usual names in any case, near misses of them, and any text. */
const names = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc
    .tuple(
      fc.constantFrom('content-type', 'Content-Type', 'host', 'Set-Cookie', 'X-Request-Id', 'via', 'Date'),
      fc.func(fc.boolean()),
      fc.constantFrom('', ' ', ':', '\r', '-', 'é', '\u0130', '\u017f'),
    )
    .map(
      ([name, upper, end]) =>
        [...name].map((letter) => (upper(letter) ? letter.toUpperCase() : letter)).join('') + end,
    ),
);

t.test('a name that is looked up is judged and lowered as any other', async (t) => {
  fc.assert(
    fc.property(names, (name) => {
      t.equal(lowerName(name), name.toLowerCase(), JSON.stringify(name));
      t.equal(isFieldName(name), TOKEN.test(name), JSON.stringify(name));
    }),
    { numRuns: 500 },
  );
});
