import type { Random } from './random.js';

/** What parsers quarrel about, and what they agree on. */
const HARMLESS = [
  'a',
  'b',
  'x',
  'admin',
  'files',
  'v1',
  'a.b',
  '.a',
  'a.',
  '...',
  '..a',
  'A',
  '~u',
  '-',
  '_',
  '0',
  "'",
  '!',
  '$',
  '&',
  '(',
  ')',
  '*',
  '+',
  ',',
  '=',
  ':',
  '@',
  '%61',
  '%41',
  '%7e',
  '%2D',
  '%5f',
  '%61dmin',
  'adm%69n',
];
const ESCAPED = [
  '%20b',
  'a%20b',
  '%c3%a9',
  'caf%C3%A9',
  '%e2%82%ac',
  '%f0%9f%98%80',
  '%22',
  '%3c',
  '%3E',
  '%5b',
  '%5D',
  '%5E',
  '%60',
  '%7b',
  '%7C',
  '%7D',
  '%21',
  '%24',
  '%26',
  '%27',
  '%28',
  '%29',
  '%2a',
  '%2B',
  '%2c',
  '%3A',
  '%3d',
  '%40',
  '%EF%BD%81',
  '%c4%b1',
  '%e1%ba%9e',
  'a%cc%81',
];
const DOTS = ['.', '..', '%2e', '%2E%2e', '.%2e', '%2e.'];
const HOSTILE = [
  '%2f',
  '%2F',
  '%5c',
  '\\',
  ';',
  ';a=b',
  '%3b',
  '%25',
  '%252e',
  '%252f',
  '%25252e',
  '%253b',
  '%00',
  '%0a',
  '%7f',
  '%',
  '%zz',
  '%c0%ae',
  '%ff',
  '%ef%bc%8f',
  '%e2%80%a4',
  '%e2%80%8b',
  '%23',
  '%3f',
  '#',
  '|',
  '"',
  '<',
  ' ',
  '\u00e9',
];

/** A raw path; most of them the gateway accepts, all of them begin with `/`. */
export function makePath(random: Random, hostile = 0.03): string {
  let path = '';
  for (let left = 1 + random.below(6); left > 0; left--) {
    path += random.chance(0.12) ? '//' : '/';
    for (let parts = random.pick([0, 1, 1, 1, 1, 2, 3]); parts > 0; parts--) {
      if (random.chance(hostile)) path += random.pick(HOSTILE);
      else if (random.chance(0.2)) path += random.pick(DOTS);
      else if (random.chance(0.3)) path += random.pick(ESCAPED);
      else path += random.pick(HARMLESS);
    }
  }
  return path;
}
