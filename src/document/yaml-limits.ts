import { type CST, isAlias, isMap, isScalar, isSeq, Lexer, type ParsedNode, Parser } from 'yaml';

/**
 * The limits of one document. They are far above what people write. A document within them is parsed in
 * seconds, with a few hundred megabytes of memory.
 */
const LIMITS = {
  /**
   * The longest text of one key or value, in characters. Kubernetes limits a whole object to less than that.
   */
  scalar: 1_048_576,
  /** The most tokens (indicators, blanks, line ends, keys, values). One rule has about 75. */
  tokens: 1_000_000,
  anchors: 1_000,
  aliases: 1_000,
  /** The most values. A value that an alias repeats is counted each time. */
  values: 1_000_000,
  depth: 100,
} as const;

/**
 * How often one anchor may be repeated. Repetitions inside the anchor count as well: this stops the "billion
 * laughs" attack.
 */
export const MAX_PER_ANCHOR = 100;

/** A problem with a document that is not a syntax error. */
export interface Problem {
  /** The offset in the text, from 0. */
  readonly offset: number;
  readonly code: string;
  readonly message: string;
}

/** The text exceeds a limit. This is detected before a document is built from the text. */
export class LimitExceeded extends Error {
  readonly offset: number;

  /** @param offset the offset in the text, from 0 */
  constructor(offset: number, message: string) {
    super(message);
    this.name = 'LimitExceeded';
    this.offset = offset;
  }
}

/** The number of tokens between two checks for free memory. */
const PACE = 4_096;
/** The approximate memory that the nodes and values of a document take, in bytes per token. */
const TOKEN_BYTES = 150;
/** The lexer emits this character before the text of an unquoted scalar. */
const SCALAR = '\x1f';
/** The lexer emits this character where the indentation ends an open `[` or `{`, which is an error. */
const FLOW_ENDS = '\x18';

/**
 * Reads the syntax tokens of a text and counts them, to enforce the limits.
 *
 * @param onLine called with the offset of each line's beginning
 * @param reserve called with a number of bytes before that memory is used; may throw to stop the reading
 * @throws LimitExceeded, and whatever `reserve` throws
 */
export function* tokensOf(
  text: string,
  onLine: (offset: number) => void,
  reserve: (bytes: number) => void,
): Generator<CST.Token> {
  const parser = new Parser(onLine);
  onLine(0);
  let count = { tokens: 0, anchors: 0, aliases: 0 };
  let flowDepth = 0;
  const blocks = new BlockDepth();
  let isScalarNext = false;
  for (const lexeme of new Lexer().lex(text)) {
    const kind = isScalarNext ? 'scalar' : KINDS[lexeme[0] as string];
    isScalarNext = lexeme === SCALAR;
    if (kind === 'scalar') {
      if (lexeme.length > LIMITS.scalar)
        exceeded(parser, `a string may have at most ${LIMITS.scalar} characters`);
    } else if (kind !== undefined && ++count[kind] > LIMITS[kind]) {
      exceeded(parser, `a document has at most ${LIMITS[kind]} ${kind}`);
    }
    if (kind === undefined && (lexeme === '[' || lexeme === '{')) {
      // Without this check, the library's own recursion would end with one error per level of nesting.
      if (++flowDepth > LIMITS.depth) exceeded(parser, `values may be nested at most ${LIMITS.depth} deep`);
    } else if (kind === undefined && (lexeme === ']' || lexeme === '}')) {
      flowDepth = Math.max(0, flowDepth - 1);
    } else if (lexeme === FLOW_ENDS) flowDepth = 0;
    // The library's parser calls itself once per level too, and would end with a stack overflow.
    if (blocks.after(lexeme, kind !== undefined ? 'none' : flowDepth > 0 ? 'flow' : 'block') > LIMITS.depth)
      exceeded(parser, `values may be nested at most ${LIMITS.depth} deep`);
    if (++count.tokens > LIMITS.tokens)
      exceeded(parser, `a document may have at most ${LIMITS.tokens} tokens`);
    if (count.tokens % PACE === 0) reserve(0);
    for (const token of parser.next(lexeme)) {
      if (token.type === 'document') {
        reserve(count.tokens * TOKEN_BYTES);
        count = { tokens: 0, anchors: 0, aliases: 0 };
        flowDepth = 0;
      }
      yield token;
    }
  }
  reserve(count.tokens * TOKEN_BYTES);
  yield* parser.end();
}

/**
 * Counts the levels of a document in block style (YAML 1.2.2 §8.2), where indentation nests values. A list at
 * the column of the key above it counts as one level with it.
 */
class BlockDepth {
  /** The columns of the levels that are open, each larger than the one before. */
  readonly #open: number[] = [];
  #column = 0;
  /** The column of the first text behind the line's beginning, or behind the last indicator of the line. */
  #start: number | undefined;

  /**
   * @param style whether the lexeme can be an indicator, and of which style. A - inside of [ ] or { } is an error,
   *   after which the library's parser goes on in block style
   * @returns the number of open levels behind the lexeme
   */
  after(lexeme: string, style: 'none' | 'flow' | 'block'): number {
    const column = this.#column;
    const line = lexeme.lastIndexOf('\n');
    this.#column = line < 0 ? column + lexeme.length : lexeme.length - line - 1;
    const isIndicator = style === 'block' ? /^[-?:]$/.test(lexeme) : style === 'flow' && lexeme === '-';
    if (isIndicator) {
      this.#enter(lexeme === ':' ? (this.#start ?? column) : column);
      this.#start = undefined;
    } else if (line >= 0) this.#start = undefined;
    else if (lexeme.trim() !== '') this.#start ??= column;
    return this.#open.length;
  }

  #enter(column: number): void {
    while ((this.#open.at(-1) ?? -1) > column) this.#open.pop();
    if (this.#open.at(-1) !== column) this.#open.push(column);
  }
}

const KINDS: Readonly<Record<string, 'scalar' | 'anchors' | 'aliases'>> = {
  '"': 'scalar',
  "'": 'scalar',
  '#': 'scalar',
  '&': 'anchors',
  '*': 'aliases',
};

function exceeded({ offset }: Parser, message: string): never {
  throw new LimitExceeded(offset, message);
}

/** Finds problems in a document's nodes: duplicate keys, and nesting or repetition beyond the limits. */
export function inspect(root: ParsedNode | null): Problem[] {
  const inspection = new Inspection();
  inspection.values(root, 1);
  return inspection.problems;
}

class Inspection {
  readonly problems: Problem[] = [];
  /** By anchor: the number of values in the last node with that anchor. */
  readonly #anchored = new Map<string, number>();
  #isOver = false;

  /** @returns the number of values in the node, including those that its aliases repeat */
  values(node: unknown, depth: number): number {
    if (isAlias(node)) return this.#anchored.get(node.source) ?? 1;
    if (!isMap(node) && !isSeq(node)) {
      if (isScalar(node) && node.anchor !== undefined) this.#anchored.set(node.anchor, 1);
      return 1;
    }
    if (depth > LIMITS.depth) {
      this.#add(node, 'yaml-limit', `values may be nested at most ${LIMITS.depth} deep`);
      return 1;
    }
    let values = 1;
    if (isMap(node)) {
      const keys = new Set<unknown>();
      for (const { key, value } of node.items) {
        if (isScalar(key)) {
          if (keys.has(key.value))
            this.#add(key, 'duplicate-key', 'this key is already in the same mapping; remove one of the two');
          keys.add(key.value);
          this.values(key, depth + 1);
        }
        values += this.values(value, depth + 1);
      }
    } else {
      for (const item of node.items) values += this.values(item, depth + 1);
    }
    if (values > LIMITS.values && !this.#isOver) {
      this.#isOver = true;
      this.#add(
        node,
        'yaml-limit',
        `with its aliases expanded, the document has more than ${LIMITS.values} values`,
      );
    }
    if (node.anchor !== undefined) this.#anchored.set(node.anchor, values);
    return values;
  }

  #add(node: object, code: string, message: string): void {
    const [offset = 0] = (node as { range?: readonly number[] | null }).range ?? [];
    this.problems.push({ offset, code, message });
  }
}
