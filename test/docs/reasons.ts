import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import typescript from 'typescript';
import { root } from '../root.js';

/**
 * The reasons that the code gives in so many words: the texts in the second argument of each call of `denial`, and in
 * `reason` or `refused` of each object that names its `error`. Reasons that are put together at run time are not among
 * them.
 *
 * @returns the reasons of each error, sorted
 */
export function reasonsInCode(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  const add = (error: string, node: typescript.Node): void => {
    const reasons = found.get(error) ?? new Set();
    found.set(error, reasons);
    for (const text of texts(node)) reasons.add(text);
  };
  const visit = (node: typescript.Node): void => {
    if (typescript.isCallExpression(node) && node.expression.getText() === 'denial') {
      const [error, reason] = node.arguments;
      if (error !== undefined && reason !== undefined && typescript.isStringLiteral(error))
        add(error.text, reason);
    } else if (typescript.isObjectLiteralExpression(node)) {
      const error = member(node, 'error');
      const reason = member(node, 'reason') ?? member(node, 'refused');
      if (error !== undefined && reason !== undefined && typescript.isStringLiteral(error))
        add(error.text, reason);
    }
    typescript.forEachChild(node, visit);
  };
  const folder = join(root, 'src');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const text = readFileSync(join(folder, name), 'utf8');
    if (!/denial\(|error: '/.test(text)) continue;
    visit(typescript.createSourceFile(name, text, typescript.ScriptTarget.ES2022, true));
  }
  return new Map([...found].map(([error, reasons]) => [error, [...reasons].sort()]));
}

function member(node: typescript.ObjectLiteralExpression, name: string): typescript.Expression | undefined {
  for (const property of node.properties) {
    if (typescript.isPropertyAssignment(property) && property.name.getText() === name)
      return property.initializer;
  }
  return undefined;
}

/** A text, or those between which a condition chooses. */
function texts(node: typescript.Node): string[] {
  if (typescript.isStringLiteralLike(node)) return [node.text];
  if (typescript.isConditionalExpression(node)) return [...texts(node.whenTrue), ...texts(node.whenFalse)];
  return [];
}
