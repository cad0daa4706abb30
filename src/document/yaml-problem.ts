import type { YAMLError } from 'yaml';

const INDENT = 'check the indentation of this line, of the lines before it and of the next line';

/** What each code of the parser means to the author of a file, and what the author can do. */
const MEANINGS: Readonly<Record<Exclude<YAMLError['code'], 'MISSING_CHAR'>, string>> = {
  ALIAS_PROPS: 'an alias (*name) cannot have an anchor or a tag before it; remove it',
  BAD_ALIAS:
    'the name of an anchor (&name) or an alias (*name) cannot be empty or end with a colon; put a string that begins with & or * in quotes',
  BAD_COLLECTION_TYPE: 'this tag does not fit the value behind it; remove the tag',
  BAD_DIRECTIVE: 'a line that begins with % is a directive, and this one does not exist; remove it',
  BAD_DQ_ESCAPE:
    'this escape does not exist in double quotes; write \\\\ for a backslash, or use single quotes',
  BAD_PROP_ORDER: 'an anchor (&name) or a tag (!name) must stand behind the indicator (-, ? or :)',
  BAD_INDENT: `the indentation does not fit: ${INDENT}`,
  BAD_SCALAR_START: 'a string without quotes cannot begin with this character; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: `a second "key: value" on one line, or below a value: put a string that contains ": " in quotes, or ${INDENT}`,
  BLOCK_IN_FLOW: 'a comma is missing between two entries in { } or [ ]',
  MULTIPLE_DOCS: 'there is more than one document; keep one',
  RESOURCE_EXHAUSTION: 'this is too large or nested too deeply',
  IMPOSSIBLE: `this is not YAML: ${INDENT}`,
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
  [/directives-end marker/, 'a list or a mapping must begin on a line below the ---'],
  [/directives-end/, 'a directive (%…) must be followed by a line that holds only ---'],
  [/Comments/, 'a blank is missing before the # of a comment; put a string that holds # in quotes'],
  [/Tags and anchors/, 'a blank is missing behind an anchor (&name) or a tag (!name)'],
  [/map values/, 'a line without a colon between lines with one: is a colon missing, or a quote?'],
  [/after :/, 'a blank is missing behind a colon'],
  [/,/, 'a comma is missing'],
];

/** Describes in plain words what the YAML parser found wrong. */
export function yamlProblem({ code, message }: YAMLError): string {
  const first = message.split('\n', 1)[0] as string;
  const missing = code === 'MISSING_CHAR' || code === 'BAD_INDENT';
  const known = missing ? MISSING.find(([pattern]) => pattern.test(first))?.[1] : undefined;
  return known ?? (code === 'MISSING_CHAR' ? MEANINGS.UNEXPECTED_TOKEN : MEANINGS[code]);
}
