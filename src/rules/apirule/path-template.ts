/** Kyma's own pattern for a path of v2: literal segments, `{*}` and `{**}` as whole segments, or `/*` alone. */
const PATH = /^(?:(?:\/(?:[A-Za-z0-9\-._~!$&'()+,;=:@]|%[0-9a-fA-F]{2})*|\/\{\*{1,2}\})+|\/\*)$/;

/**
 * Turns the path of an APIRule v2 into a regular expression that matches the same canonical paths. `{*}` is
 * exactly one segment. `{**}` is one or more segments if it is inside a path, and anything, even nothing, if
 * it is at the end. `/*` is the same as `/{**}`.
 *
 * @returns the expression, or why the path is invalid
 */
export function pathPattern(path: string): { source: string } | { problem: string } {
  if (!PATH.test(path)) {
    return {
      problem: `"${path}" is not a path of APIRule v2: write literal segments, {*} and {**} as whole segments, or only /*; a regular expression is not allowed`,
    };
  }
  if (path === '/*') return { source: '/.*' };
  const segments = path.slice(1).split('/');
  const operators = segments.filter(isOperator);
  if (operators.slice(0, -1).includes('{**}')) {
    return { problem: '{**} must be the last operator of the path' };
  }
  const last = segments.length - 1;
  const parts = segments.map((segment, index) => {
    if (segment === '{*}') return '[^/]+';
    if (segment === '{**}') return index === last ? '.*' : '[^/]+(?:/[^/]+)*';
    return literal(segment);
  });
  return { source: `/${parts.join('/')}` };
}

function isOperator(segment: string): boolean {
  return segment === '{*}' || segment === '{**}';
}

/**
 * Writes a segment as in a canonical path: unreserved characters decoded, other escapes in upper case (RFC
 * 3986 §6.2.2).
 */
function literal(segment: string): string {
  return segment
    .replace(/%[0-9a-f]{2}/gi, (escaped) => {
      const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16));
      return /[A-Za-z0-9\-._~]/.test(character) ? character : escaped.toUpperCase();
    })
    .replace(/[.$()+]/g, '\\$&');
}
