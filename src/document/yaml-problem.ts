import type { YAMLError } from 'yaml';

const INDENT = 'check the indentation of this line, of the lines before it and of the next line';

/** What each code of the parser means to the author of a file, and what the author can do. */
const MEANINGS: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  BAD_ALIAS: 'an alias (*name) needs an anchor (&name) before it; put a string that begins with * in quotes',
  BAD_DQ_ESCAPE:
    'this escape does not exist in double quotes; write \\\\ for a backslash, or use single quotes',
  BAD_INDENT: `the indentation does not fit: ${INDENT}`,
  BAD_SCALAR_START: 'a string without quotes cannot begin with this character; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: `a second "key: value" on one line, or below a value: put a string that contains ": " in quotes, or ${INDENT}`,
  BLOCK_IN_FLOW: 'a comma is missing between two entries in { } or [ ]',
  DUPLICATE_KEY: 'this key is already in the same mapping; remove one of the two',
  KEY_OVER_1024_CHARS: 'a key is longer than 1024 characters; is a quote or a colon missing?',
  MULTILINE_IMPLICIT_KEY: `a line without a value: is a colon after the key missing? Otherwise ${INDENT}`,
  MULTIPLE_ANCHORS: 'a value can have one anchor only',
  MULTIPLE_TAGS: 'a value can have one tag only',
  NON_STRING_KEY: 'a key must be a string; put a string that begins with { in quotes',
  TAB_AS_INDENT: 'YAML cannot be indented with tabs; use spaces',
  TAG_RESOLVE_FAILED: 'tags (!name) are not supported; remove it',
  UNEXPECTED_TOKEN: `this is not allowed here: ${INDENT}`,
};

const MISSING: readonly (readonly [RegExp, string])[] = [
  [/quote/, 'a closing quote is missing'],
  [/without - indicator/, `this line is indented like a list item, but does not begin with -; ${INDENT}`],
  [/end with a \]/, 'a closing ] is missing'],
  [/end with a \}/, 'a closing } is missing'],
  [/,/, 'a comma is missing'],
];

/** Describes in plain words what the YAML parser found wrong. */
export function yamlProblem({ code, message }: YAMLError): string {
  const first = message.split('\n', 1)[0] as string;
  const missing = code === 'MISSING_CHAR' || code === 'BAD_INDENT';
  const known = missing ? MISSING.find(([pattern]) => pattern.test(first))?.[1] : undefined;
  return known ?? MEANINGS[code] ?? first;
}
