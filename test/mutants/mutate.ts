import ts from 'typescript';

/** What a mutant does to the source. */
export type Operator =
  | 'force a condition'
  | 'negate a condition'
  | 'move a boundary'
  | 'negate an equality'
  | 'drop an operand'
  | 'swap an operator'
  | 'change a constant'
  | 'change a result'
  | 'drop a statement'
  | 'loosen a pattern'
  | 'swap a method';

/** One change of one source file, small enough that a test should notice it. */
export interface Mutant {
  /** File, function and change. It stays the same when lines move, and ends with a number where the change occurs twice. */
  readonly id: string;
  /** Below `src/`. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly operator: Operator;
  /** Where the replaced text begins and ends, in UTF-16 code units. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

const { SyntaxKind } = ts;

/** Operators, and what takes their place. */
const BOUNDARIES: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [SyntaxKind.LessThanToken, '<='],
  [SyntaxKind.LessThanEqualsToken, '<'],
  [SyntaxKind.GreaterThanToken, '>='],
  [SyntaxKind.GreaterThanEqualsToken, '>'],
]);
const EQUALITIES: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [SyntaxKind.EqualsEqualsEqualsToken, '!=='],
  [SyntaxKind.ExclamationEqualsEqualsToken, '==='],
]);
const ARITHMETIC: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [SyntaxKind.PlusToken, '-'],
  [SyntaxKind.MinusToken, '+'],
  [SyntaxKind.AsteriskToken, '/'],
  [SyntaxKind.SlashToken, '*'],
  [SyntaxKind.PercentToken, '*'],
  [SyntaxKind.AmpersandToken, '|'],
  [SyntaxKind.BarToken, '&'],
  [SyntaxKind.PlusEqualsToken, '-='],
  [SyntaxKind.MinusEqualsToken, '+='],
  [SyntaxKind.BarEqualsToken, '&='],
]);
const LOGICAL: ReadonlySet<ts.SyntaxKind> = new Set([
  SyntaxKind.AmpersandAmpersandToken,
  SyntaxKind.BarBarToken,
  SyntaxKind.QuestionQuestionToken,
]);
/** Methods, and what takes their place; without one, the call becomes what it is called on. */
const METHODS: ReadonlyMap<string, string | undefined> = new Map([
  ['some', 'every'],
  ['every', 'some'],
  ['startsWith', 'includes'],
  ['endsWith', 'includes'],
  ['toLowerCase', undefined],
  ['trim', undefined],
]);
/** Numbers up to this one count something; larger ones are limits and times. */
const SMALL = 9;
/** Longest text of a change in an identifier. */
const SHOWN = 70;

/**
 * Every mutant of a source file, in the order of the text. What the compiler removes (types, interfaces) has none.
 *
 * @param file its name, below `src/`
 * @param text what is in it
 */
export function mutantsOf(file: string, text: string): Mutant[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2023, true);
  const found: Omit<Mutant, 'id' | 'file' | 'line'>[] = [];
  const places: string[] = [];

  const add = (operator: Operator, node: ts.Node, replacement: string): void => {
    const start = node.getStart(source);
    found.push({ operator, start, end: node.getEnd(), replacement });
    places.push(placeOf(node, source));
  };
  const visit = (node: ts.Node): void => {
    if (isErased(node)) return;
    mutate(node, source, add);
    ts.forEachChild(node, visit);
  };
  visit(source);

  const seen = new Map<string, number>();
  return found.map((mutant, i) => {
    const change = `${short(text.slice(mutant.start, mutant.end))} → ${short(mutant.replacement) || 'nothing'}`;
    const name = `${file} ${places[i]}: ${change}`;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    const line = source.getLineAndCharacterOfPosition(mutant.start).line + 1;
    return { ...mutant, file, line, id: count === 1 ? name : `${name} #${count}` };
  });
}

/** The source with one mutant in it. */
export function apply(text: string, { start, end, replacement }: Mutant): string {
  return text.slice(0, start) + replacement + text.slice(end);
}

type Add = (operator: Operator, node: ts.Node, replacement: string) => void;

function mutate(node: ts.Node, source: ts.SourceFile, add: Add): void {
  const textOf = (part: ts.Node): string => part.getText(source);
  if (ts.isIfStatement(node)) {
    add('force a condition', node.expression, 'true');
    add('force a condition', node.expression, 'false');
  } else if (ts.isConditionalExpression(node)) {
    add('negate a condition', node.condition, `!(${textOf(node.condition)})`);
  } else if (ts.isWhileStatement(node)) {
    add('force a condition', node.expression, 'false');
  } else if (ts.isForStatement(node) && node.condition !== undefined) {
    add('force a condition', node.condition, 'false');
  } else if (ts.isBinaryExpression(node)) {
    mutateBinary(node, source, add);
  } else if (ts.isPrefixUnaryExpression(node)) {
    if (node.operator === SyntaxKind.ExclamationToken && !isCondition(node))
      add('negate a condition', node, textOf(node.operand));
    if (node.operator === SyntaxKind.PlusPlusToken)
      add('swap an operator', node, `--${textOf(node.operand)}`);
    if (node.operator === SyntaxKind.MinusMinusToken)
      add('swap an operator', node, `++${textOf(node.operand)}`);
  } else if (ts.isPostfixUnaryExpression(node)) {
    const other = node.operator === SyntaxKind.PlusPlusToken ? '--' : '++';
    add('swap an operator', node, `${textOf(node.operand)}${other}`);
  } else if (ts.isExpressionStatement(node)) {
    if (isDroppable(node)) add('drop a statement', node, ';');
  } else if (ts.isNumericLiteral(node)) {
    mutateNumber(node, add);
  } else if (node.kind === SyntaxKind.TrueKeyword || node.kind === SyntaxKind.FalseKeyword) {
    // A loop without end has a break.
    if (!ts.isWhileStatement(node.parent))
      add('change a constant', node, node.kind === SyntaxKind.TrueKeyword ? 'false' : 'true');
  } else if (ts.isRegularExpressionLiteral(node)) {
    mutatePattern(node, source, add);
  } else if (ts.isCallExpression(node)) {
    mutateCall(node, source, add);
  }
  const result = ts.isReturnStatement(node)
    ? node.expression
    : ts.isArrowFunction(node) && !ts.isBlock(node.body)
      ? node.body
      : undefined;
  if (result !== undefined && isTruth(result)) {
    add('change a result', result, 'true');
    add('change a result', result, 'false');
  }
}

function mutateBinary(node: ts.BinaryExpression, source: ts.SourceFile, add: Add): void {
  const { kind } = node.operatorToken;
  const boundary = BOUNDARIES.get(kind);
  if (boundary !== undefined) add('move a boundary', node.operatorToken, boundary);
  const equality = EQUALITIES.get(kind);
  // As the whole condition it is forced or negated already.
  if (equality !== undefined && !isCondition(node)) add('negate an equality', node.operatorToken, equality);
  const arithmetic = ARITHMETIC.get(kind);
  if (arithmetic !== undefined && !joinsText(node)) add('swap an operator', node.operatorToken, arithmetic);
  if (LOGICAL.has(kind) && !(ts.isBinaryExpression(node.parent) && node.parent.operatorToken.kind === kind)) {
    const operands = chainOf(node, kind).map((operand) => operand.getText(source));
    const joint = ` ${ts.tokenToString(kind)} `;
    for (let i = 0; i < operands.length; i++) {
      const kept = operands.filter((_, each) => each !== i).join(joint);
      // A chain in a larger expression keeps its precedence.
      add('drop an operand', node, ts.isBinaryExpression(node.parent) ? `(${kept})` : kept);
    }
  }
}

/** `a && b && c` as its three operands. */
function chainOf(node: ts.Expression, kind: ts.SyntaxKind): ts.Expression[] {
  return ts.isBinaryExpression(node) && node.operatorToken.kind === kind
    ? [...chainOf(node.left, kind), ...chainOf(node.right, kind)]
    : [node];
}

function mutateNumber(node: ts.NumericLiteral, add: Add): void {
  const { parent } = node;
  if (ts.isPropertyAssignment(parent)) {
    // A key; or what a schema says of texts that may not be empty, in which case one more is no worse.
    if (parent.name === node || /^min(Length|Items)$/.test(parent.name.getText())) return;
  }
  const value = Number(node.text);
  add('change a constant', node, value <= SMALL ? String(value + 1) : '0');
}

function mutatePattern(node: ts.RegularExpressionLiteral, source: ts.SourceFile, add: Add): void {
  const text = node.getText(source);
  const end = text.lastIndexOf('/');
  const [pattern, flags] = [text.slice(1, end), text.slice(end + 1)];
  if (pattern.startsWith('^')) add('loosen a pattern', node, `/${pattern.slice(1)}/${flags}`);
  if (pattern.endsWith('$') && !pattern.endsWith('\\$'))
    add('loosen a pattern', node, `/${pattern.slice(0, -1)}/${flags}`);
  if (flags.includes('i')) add('loosen a pattern', node, `/${pattern}/${flags.replace('i', '')}`);
}

function mutateCall(node: ts.CallExpression, source: ts.SourceFile, add: Add): void {
  const { expression } = node;
  if (!ts.isPropertyAccessExpression(expression)) return;
  const name = expression.name.text;
  if (expression.expression.getText(source) === 'Math' && (name === 'min' || name === 'max'))
    add('swap a method', expression.name, name === 'min' ? 'max' : 'min');
  if (!METHODS.has(name)) return;
  const other = METHODS.get(name);
  if (other !== undefined) add('swap a method', expression.name, other);
  else add('swap a method', node, expression.expression.getText(source));
}

/** What is not in the program that the compiler makes. */
function isErased(node: ts.Node): boolean {
  return (
    (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isImportDeclaration(node) ||
    ts.isExportDeclaration(node)
  );
}

/** Whether it is all of a condition that has mutants of its own. */
function isCondition(node: ts.Expression): boolean {
  const { parent } = node;
  return (
    (ts.isIfStatement(parent) && parent.expression === node) ||
    (ts.isConditionalExpression(parent) && parent.condition === node)
  );
}

/** Whether an expression is true or false by its form. */
function isTruth(node: ts.Expression): boolean {
  if (ts.isPrefixUnaryExpression(node)) return node.operator === SyntaxKind.ExclamationToken;
  if (!ts.isBinaryExpression(node)) return false;
  const { kind } = node.operatorToken;
  if (BOUNDARIES.has(kind) || EQUALITIES.has(kind)) return true;
  return (
    (kind === SyntaxKind.AmpersandAmpersandToken || kind === SyntaxKind.BarBarToken) &&
    isTruth(node.left) &&
    isTruth(node.right)
  );
}

/** Whether a `+` joins texts, as far as its form says so. */
function joinsText(node: ts.BinaryExpression): boolean {
  const { kind } = node.operatorToken;
  if (kind !== SyntaxKind.PlusToken && kind !== SyntaxKind.PlusEqualsToken) return false;
  return [...chainOf(node.left, SyntaxKind.PlusToken), ...chainOf(node.right, SyntaxKind.PlusToken)].some(
    (part) => ts.isStringLiteralLike(part) || ts.isTemplateExpression(part),
  );
}

/** Calls and assignments can be left out; but not what merely fills an object that is being made. */
function isDroppable({ expression, parent }: ts.ExpressionStatement): boolean {
  const done =
    ts.isAwaitExpression(expression) || ts.isVoidExpression(expression) ? expression.expression : expression;
  if (ts.isCallExpression(done)) return done.expression.kind !== SyntaxKind.SuperKeyword;
  if (!ts.isBinaryExpression(done)) return ts.isPostfixUnaryExpression(done) || ts.isDeleteExpression(done);
  return !(ts.isBlock(parent) && ts.isConstructorDeclaration(parent.parent));
}

/** The function that something is in, by its name, with its class. */
function placeOf(node: ts.Node, source: ts.SourceFile): string {
  const names: string[] = [];
  for (let at = node.parent; at !== undefined; at = at.parent) {
    const named = at as Partial<ts.NamedDeclaration>;
    const isPlace =
      ts.isFunctionDeclaration(at) ||
      ts.isClassDeclaration(at) ||
      ts.isMethodDeclaration(at) ||
      ts.isAccessor(at) ||
      ts.isPropertyDeclaration(at) ||
      ts.isVariableDeclaration(at) ||
      ts.isPropertyAssignment(at);
    if (ts.isConstructorDeclaration(at)) names.unshift('constructor');
    else if (isPlace && named.name !== undefined && ts.isMemberName(named.name))
      names.unshift(named.name.getText(source));
  }
  return names.join('.') || 'top';
}

function short(text: string): string {
  const line = text.replace(/\s+/g, ' ');
  return line === ';' ? 'nothing' : line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line;
}
