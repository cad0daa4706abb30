import { type AST, visitRegExpAST } from '@eslint-community/regexpp';

/**
 * Finds a backreference to a group that may not have matched anything at that point: one that has not ended
 * yet (`(a\1)`), one of another alternative (`(a)|\1`), or one that may be skipped (`(a)?\1`). In JavaScript it
 * matches the empty text (ECMA-262, BackreferenceMatcher), and in .NET's dialect, which Oathkeeper uses, it
 * matches nothing at all.
 *
 * @returns the first of them; undefined if there is none
 */
export function unsetBackreference(pattern: AST.Pattern): AST.Backreference | undefined {
  let found: AST.Backreference | undefined;
  visitRegExpAST(pattern, {
    onBackreferenceEnter(reference) {
      if (found !== undefined) return;
      const groups = [reference.resolved].flat();
      if (!groups.every((group) => isSetBefore(group, reference))) found = reference;
    },
  });
  return found;
}

function isSetBefore(group: AST.CapturingGroup, reference: AST.Backreference): boolean {
  if (group.end > reference.start) return false;
  // Everything around the group that does not contain the reference must have matched.
  for (let node = group as AST.Node | null; node !== null; node = node.parent) {
    if (node.start <= reference.start && reference.end <= node.end) return true;
    if (node.type === 'Quantifier' && node.min === 0) return false;
    if (node.type === 'Assertion' && 'negate' in node && node.negate) return false;
    if (node.type === 'Alternative' && node.parent.alternatives.length > 1) return false;
  }
  return true;
}
