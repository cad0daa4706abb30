import { type CST, isAlias, isMap, isScalar, isSeq, Lexer, type ParsedNode, Parser } from 'yaml';

/**
 * The bounds of one document. They are far above what people write, and low enough that a document within them is
 * parsed in seconds and in some hundred megabytes.
 */
const LIMITS = {
  /** The longest text of one key or value, in characters. An object in Kubernetes is smaller as a whole. */
  scalar: 1_048_576,
  /** Indicators, blanks, line ends, keys, values: a rule has some 75. */
  tokens: 1_000_000,
  anchors: 1_000,
  aliases: 1_000,
  /** Values, those repeated by aliases counted each time. */
  values: 1_000_000,
  depth: 100,
} as const;

/** How often one anchor may be repeated, what it holds itself included (the "billion laughs" shape). */
export const MAX_PER_ANCHOR = 100;

/** Something wrong with a document that its syntax does not say. */
export interface Problem {
  /** In the text, from 0. */
  readonly offset: number;
  readonly code: string;
  readonly message: string;
}

/** A bound that the text exceeds, found before a document is built of it. */
export class LimitExceeded extends Error {
  readonly offset: number;

  /** @param offset in the text, from 0 */
  constructor(offset: number, message: string) {
    super(message);
    this.name = 'LimitExceeded';
    this.offset = offset;
  }
}

/** After so many tokens it is time to ask whether there is memory to go on. */
const PACE = 4_096;
/** About what the nodes and values of a document take for each of its tokens, in bytes. */
const TOKEN_BYTES = 150;
/** The lexer puts it before the text of a scalar without quotes. */
const SCALAR = '\x1f';

/**
 * The syntax of a text, counted while it is read.
 *
 * @param onLine told where each line begins
 * @param reserve asked for memory, in bytes, before it is taken
 * @throws LimitExceeded, and what `reserve` throws
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
  let isScalarNext = false;
  for (const lexeme of new Lexer().lex(text)) {
    const kind = isScalarNext ? 'scalar' : KINDS[lexeme[0] as string];
    isScalarNext = lexeme === SCALAR;
    if (kind === 'scalar') {
      if (lexeme.length > LIMITS.scalar) exceeded(parser, `a text has at most ${LIMITS.scalar} characters`);
    } else if (kind !== undefined && ++count[kind] > LIMITS[kind]) {
      exceeded(parser, `a document has at most ${LIMITS[kind]} ${kind}`);
    }
    if (kind === undefined && (lexeme === '[' || lexeme === '{')) {
      // Deeper, and the library's own recursion would end with as many errors as there are levels.
      if (++flowDepth > LIMITS.depth) exceeded(parser, `values nest at most ${LIMITS.depth} deep`);
    } else if (kind === undefined && (lexeme === ']' || lexeme === '}')) flowDepth--;
    if (++count.tokens > LIMITS.tokens) exceeded(parser, `a document has at most ${LIMITS.tokens} tokens`);
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

/** What is wrong with a document's nodes: keys that stand twice, nesting and repetition beyond the bounds. */
export function inspect(root: ParsedNode | null): Problem[] {
  const inspection = new Inspection();
  inspection.values(root, 1);
  return inspection.problems;
}

class Inspection {
  readonly problems: Problem[] = [];
  /** By anchor: how many values its last node has. */
  readonly #anchored = new Map<string, number>();
  #isOver = false;

  /** @returns how many values the node is, with those that aliases in it repeat */
  values(node: unknown, depth: number): number {
    if (isAlias(node)) return this.#anchored.get(node.source) ?? 1;
    if (!isMap(node) && !isSeq(node)) {
      if (isScalar(node) && node.anchor !== undefined) this.#anchored.set(node.anchor, 1);
      return 1;
    }
    if (depth > LIMITS.depth) {
      this.#add(node, 'yaml-limit', `values nest at most ${LIMITS.depth} deep`);
      return 1;
    }
    let values = 1;
    if (isMap(node)) {
      const keys = new Set<unknown>();
      for (const { key, value } of node.items) {
        if (isScalar(key)) {
          if (keys.has(key.value))
            this.#add(
              key,
              'duplicate-key',
              'this key stands in the same mapping before; which of the two counts is unknown, so remove one',
            );
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
      this.#add(node, 'yaml-limit', `with its aliases it has more than ${LIMITS.values} values`);
    }
    if (node.anchor !== undefined) this.#anchored.set(node.anchor, values);
    return values;
  }

  #add(node: object, code: string, message: string): void {
    const [offset = 0] = (node as { range?: readonly number[] | null }).range ?? [];
    this.problems.push({ offset, code, message });
  }
}
