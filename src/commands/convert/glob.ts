/** How to read `<…>`: Oathkeeper's setting `access_rules.matching_strategy`. */
export type Strategy = 'regexp' | 'glob';

/**
 * Converts an Oathkeeper glob (gobwas/glob with the separators `.` and `/`) to a regular expression. `*` and
 * `?` stop at a separator, `**` does not; `[abc]`, `[!abc]` and `{a,b}` work as in a shell.
 *
 * @returns the source of the regular expression, without anchors
 * @throws SyntaxError if the text is not a valid glob
 */
export function globPattern(glob: string): string {
  let source = '';
  let depth = 0;
  for (let i = 0; i < glob.length; i++) {
    const char = glob[i] as string;
    if (char === '*') {
      const wide = glob[i + 1] === '*';
      if (wide) i++;
      source += wide ? '.*' : '[^./]*';
    } else if (char === '?') {
      source += '[^./]';
    } else if (char === '[') {
      const end = glob.indexOf(']', i + 2);
      if (end < 0) throw new SyntaxError('[ is never closed');
      const inner = glob.slice(i + 1, end);
      const negated = inner.startsWith('!');
      source += `[${negated ? '^' : ''}${(negated ? inner.slice(1) : inner).replace(/[\\^[\]]/g, '\\$&')}]`;
      i = end;
    } else if (char === '{') {
      depth++;
      source += '(?:';
    } else if (char === '}' && depth > 0) {
      depth--;
      source += ')';
    } else if (char === ',' && depth > 0) {
      source += '|';
    } else if (char === '\\') {
      i++;
      if (i === glob.length) throw new SyntaxError('it must not end with \\');
      source += escapeText(glob[i] as string);
    } else {
      source += escapeText(char);
    }
  }
  if (depth > 0) throw new SyntaxError('{ is never closed');
  return source;
}

/** Escapes a text, so that the regular expression matches exactly this text. */
export function escapeText(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
