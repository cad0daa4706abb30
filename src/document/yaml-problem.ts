import type { YAMLError } from 'yaml';

const INDENT = 'look at the indentation of this line and of those before it';

/** What each code of the parser means to the author of a file, and what the author can do. */
const MEANINGS: Readonly<Partial<Record<YAMLError['code'], string>>> = {
  BAD_ALIAS:
    'an alias (*name) needs an anchor (&name) before it; a text that begins with * must be in quotes',
  BAD_DQ_ESCAPE: 'no such escape in double quotes; write \\\\ for a backslash, or use single quotes',
  BAD_INDENT: `the indentation does not fit: ${INDENT}`,
  BAD_SCALAR_START: 'a text cannot begin with this character; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: `a second "key: value" on one line, or under a value: put a text that holds ": " in quotes, or ${INDENT}`,
  BLOCK_IN_FLOW: 'a comma is missing between two entries in { } or [ ]',
  DUPLICATE_KEY:
    'this key stands in the same mapping before; which of the two counts is unknown, so remove one',
  KEY_OVER_1024_CHARS: 'a key is longer than 1024 characters; is a quote or a colon missing?',
  MULTILINE_IMPLICIT_KEY: `a line without a value: is a colon after the key missing? Otherwise ${INDENT}`,
  MULTIPLE_ANCHORS: 'a value can have one anchor only',
  MULTIPLE_TAGS: 'a value can have one tag only',
  NON_STRING_KEY: 'a key must be a text; a value that begins with { must be in quotes if it is a text',
  TAB_AS_INDENT: 'YAML cannot be indented with tabs; use blanks',
  TAG_RESOLVE_FAILED: 'tags (!name) are not read here; remove it',
  UNEXPECTED_TOKEN: `this cannot stand here: ${INDENT}`,
};

const MISSING: readonly (readonly [RegExp, string])[] = [
  [/quote/, 'a closing quote is missing'],
  [/without - indicator/, `not an item of the list that it is indented like: ${INDENT}`],
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
