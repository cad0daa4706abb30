import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { root } from '../root.js';

/** What subclasses of streams implement, and nobody calls. */
const STREAM_METHODS: ReadonlySet<string> = new Set([
  '_construct',
  '_destroy',
  '_final',
  '_flush',
  '_read',
  '_transform',
  '_write',
  '_writev',
]);
/** A field of Node's sockets that its documentation does not have, though its name looks as if it did. */
const UNDOCUMENTED = 'parser';
/** Functions that reach what has no name, or change the engine of the whole process. */
const BACK_DOORS: ReadonlySet<string> = new Set(['getOwnPropertySymbols', 'setFlagsFromString']);

/** The uses of fields in a source file that are private to Node or to a library, as `line: name`. */
function privateUses(text: string): string[] {
  const file = ts.createSourceFile('x.ts', text, ts.ScriptTarget.ESNext, true);
  const found: string[] = [];
  const report = (node: ts.Node, name: string): void => {
    found.push(`${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${name}`);
  };
  const judge = (name: ts.Node | undefined): void => {
    if (name === undefined || (!ts.isIdentifier(name) && !ts.isStringLiteralLike(name))) return;
    const { text } = name;
    if (/^_[a-z]/i.test(text) || text === UNDOCUMENTED || BACK_DOORS.has(text)) report(name, text);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) {
      if (node.getText() === 'process.binding') report(node, 'process.binding');
      else judge(node.name);
    } else if (ts.isElementAccessExpression(node)) judge(node.argumentExpression);
    else if (ts.isBindingElement(node) && ts.isObjectBindingPattern(node.parent))
      judge(node.propertyName ?? node.name);
    else if (ts.isPropertySignature(node) || ts.isPropertyAssignment(node)) judge(node.name);
    else if (ts.isPropertyDeclaration(node)) judge(node.name);
    else if (ts.isMethodDeclaration(node)) {
      const name = node.name.getText();
      const overrides = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.OverrideKeyword) === true;
      if (!overrides || !STREAM_METHODS.has(name)) judge(node.name);
    } else if (ts.isImportSpecifier(node)) judge(node.propertyName ?? node.name);
    else if (
      ts.isCallExpression(node) &&
      node.expression.getText() === 'Symbol.for' &&
      node.arguments.some((each) => ts.isStringLiteralLike(each) && /^(?:nodejs|undici)\b/.test(each.text))
    )
      report(node, 'Symbol.for');
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

t.test('the program uses no private field of Node or of a library, and no flag of V8', (t) => {
  const src = join(root, 'src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  t.ok(files.length > 200, `${files.length} files are read`);
  for (const name of files) t.same(privateUses(readFileSync(join(src, name), 'utf8')), [], name);
  t.end();
});

t.test('a private field is found however it is reached', (t) => {
  for (const text of [
    'socket._httpMessage;',
    'socket?._parent;',
    "socket['_handle'];",
    'const { _header } = response;',
    'const { _header: head } = response;',
    'type Parsed = Socket & { readonly parser?: object };',
    'const f = ({ _bufs }: Sonic) => _bufs;',
    'class A extends Readable { _read(): void {} }',
    'class A extends Server { override _listen(): void {} }',
    'new Server({ _extra: 1 });',
    'socket.parser;',
    "process.binding('http_parser');",
    'Object.getOwnPropertySymbols(socket);',
    "import { setFlagsFromString } from 'node:v8';",
    "import { setFlagsFromString as set } from 'node:v8';",
  ]) {
    t.equal(privateUses(text).length, 1, text);
  }
  t.same(privateUses("\nconst kDispatcher = Symbol.for('undici.globalDispatcher.1');").length, 1);
  for (const text of [
    'class A extends Readable { override _read(): void {} }',
    'function f(_unused: number): void {}',
    "const name = '_OTHER';",
    "const MINE = Symbol('mine'); socket[MINE];",
    '// socket._httpMessage',
  ]) {
    t.same(privateUses(text), [], text);
  }
  t.end();
});
