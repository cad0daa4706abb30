import t from 'tap';
import { confusableWith } from '../../src/parse/confusables.js';
import { lenientNames } from '../../src/parse/lenient-name.js';

t.test('a character that some upstream takes for a delimiter of a path is recognised', (t) => {
  for (const character of [
    ...['\u2044', '\u2215', '\u2216', '\u2571', '\u2572', '\u29f5', '\u29f8', '\u29f9'],
    ...['\uff0f', '\uff3c', '\uff0e', '\u2024', '\uff05', '\uff1b', '\uff1f', '\uff03', '\ufe68', '\u037e'],
    ...['½', '\u2025', '\u2026', '\u2100', '\u2047'],
    ...['\u0085', '\u00a0', '\u00ad', '\u200b', '\u202e', '\u2028', '\ufeff', '\ufe0f', '\ufdd0'],
    ...['\u3164', '\u115f', '\u{e0041}', '\u{1fffe}', '\ud800', '\u3000', '\u2003'],
    // These become a blank with an accent.
    ...['\u00a8', '\u00b4', '\u2017'],
  ])
    t.ok(confusableWith(character), `U+${character.codePointAt(0)?.toString(16)}`);
  for (const character of ['é', 'ß', 'я', '中', '\u00b7', '\u2192', '\u{1f600}', '\uff21'])
    t.notOk(confusableWith(character), character);
  t.end();
});

t.test('a name is held against what lenient servers read instead of it', (t) => {
  for (const [name, ...read] of [
    ['access_token', 'access_token'],
    ['Access_Token', 'access_token'],
    ['access.token', 'access_token'],
    ['access token', 'access_token'],
    ['access[token]', 'access_token_'],
    ['  access_token\t', 'access_token'],
    ['access_\u200btoken\u00ad', 'access_token'],
    ['access\u0001_token', 'access_token'],
    ['ａｃｃｅｓｓ＿ｔｏｋｅｎ', 'access_token'],
    ['access_token\0x', 'access_tokenx', 'access_token'],
    ['access_token\0', 'access_token'],
    ['\0access_token', 'access_token', ''],
    ['access\0_token\0', 'access_token', 'access'],
    ['', ''],
  ] as [string, ...string[]][])
    t.same(lenientNames(name), read, JSON.stringify(name));
  t.end();
});
