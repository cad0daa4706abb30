import type * as Refa from 'refa';
import type { Char, CharSet, DFA, Expression } from 'refa';
import { lazyRequire } from '../../model/lazy-require.js';
import { type AnalysisBudget, UNLIMITED } from '../budget.js';
import { PATH_CODES } from './alphabet.js';
import { getOrInsert } from './get-or-insert.js';

const refa = lazyRequire<typeof Refa>('refa');

/**
 * A deterministic automaton over the characters of a path, as flat tables. It is trimmed: from each state, an
 * accepting state can be reached. All its paths begin with `/`.
 */
export interface Automaton {
  /** By code unit below 128: the column in `next`. Characters in one column are equivalent. */
  readonly columns: Uint8Array;
  readonly width: number;
  /** `next[state * width + column]`, or -1. */
  readonly next: Int32Array;
  readonly accepting: Uint8Array;
  /** The first state; -1 if no path is accepted. */
  readonly initial: number;
}

/** The largest automaton that is built. A pattern that needs a larger one is undecided. */
const MAX_NODES = 4_000;
/**
 * The most work for one automaton. Each state of the deterministic automaton is a set of states of the
 * nondeterministic one, and costs as much as the size of that set.
 */
const MAX_WORK = 4_000_000;

const SLASH = 0x2f;
/** Replaces `$` while an automaton is built. No path and no class of the pattern contains this character. */
const END = 1 as Char;
const MAX_CHARACTER = 127 as Char;

const PATH_CODE_SET = new Set(PATH_CODES);

/**
 * Builds the automaton of a pattern of the regular fragment.
 *
 * @param source in JavaScript's dialect, without the anchors around it
 * @param budget counts the work
 * @returns undefined if it would become too large
 */
export function automatonOf(
  source: string,
  flags: string,
  budget: AnalysisBudget = UNLIMITED,
): Automaton | undefined {
  const { JS, NFA, DFA, TooManyNodesError } = refa();
  // The budget counts the work even if there is no result.
  let work = 0;
  try {
    const { expression } = JS.Parser.fromLiteral({ source, flags }).parse({
      assertions: 'unknown',
      backreferences: 'throw',
    });
    confine(expression);
    work = MAX_NODES;
    const nfa = NFA.fromRegex(
      expression,
      { maxCharacter: MAX_CHARACTER },
      {},
      new NFA.LimitedNodeFactory(MAX_NODES),
    );
    const size = nfa.countNodes();
    const most = Math.min(MAX_NODES, Math.ceil(MAX_WORK / size));
    work = size * most;
    const dfa = DFA.fromFA(nfa, new DFA.LimitedNodeFactory(most));
    work = size * dfa.countNodes();
    // Minimizing takes time, and is useful only if a comparison would visit many pairs of states.
    if (dfa.countNodes() > 64) dfa.minimize();
    return flatten(dfa);
  } catch (error) {
    if (error instanceof TooManyNodesError) return undefined;
    throw error;
  } finally {
    budget.spend(work);
  }
}

/**
 * Builds the automaton of the one path `text`. It does not use `refa`, because most rules are literal and
 * this is faster.
 */
export function automatonOfLiteral(text: string): Automaton {
  const distinct = [...new Set(text)];
  const columns = new Uint8Array(128);
  distinct.forEach((char, i) => {
    columns[char.charCodeAt(0)] = i + 1;
  });
  const width = distinct.length + 1;
  const next = new Int32Array((text.length + 1) * width).fill(-1);
  for (let i = 0; i < text.length; i++) next[i * width + (columns[text.charCodeAt(i)] as number)] = i + 1;
  const accepting = new Uint8Array(text.length + 1);
  accepting[text.length] = 1;
  const possible =
    text.charCodeAt(0) === SLASH && distinct.every((char) => PATH_CODE_SET.has(char.charCodeAt(0)));
  return { columns, width, next, accepting, initial: possible ? 0 : -1 };
}

/** The character classes that an expression is reduced to. */
interface Classes {
  readonly none: CharSet;
  readonly path: CharSet;
  readonly end: CharSet;
  /** By character: the class of this character alone; `none` if no path has it. */
  readonly single: readonly CharSet[];
}

let made: Classes | undefined;

function classes(): Classes {
  if (made === undefined) {
    const { CharSet } = refa();
    const none = CharSet.empty(MAX_CHARACTER);
    made = {
      none,
      path: CharSet.fromCharacters(MAX_CHARACTER, PATH_CODES.toSorted((a, b) => a - b) as Char[]),
      end: CharSet.fromCharacter(MAX_CHARACTER, END),
      single: Array.from({ length: MAX_CHARACTER + 1 }, (_, code) =>
        PATH_CODE_SET.has(code) ? CharSet.fromCharacter(MAX_CHARACTER, code as Char) : none,
      ),
    };
  }
  return made;
}

function confineSet({ ranges }: CharSet): CharSet {
  const { none, path, single } = classes();
  const [first] = ranges;
  if (first === undefined) return none;
  if (ranges.length === 1 && first.min === first.max) return single[first.min] ?? none;
  return none
    .union(
      ranges
        .filter(({ min }) => min <= MAX_CHARACTER)
        .map(({ min, max }) => ({ min, max: Math.min(max, MAX_CHARACTER) as Char })),
    )
    .intersect(path);
}

/**
 * Reduces an expression's classes to the characters of paths, and replaces `$` by a mark character that is
 * consumed.
 */
function confine(expression: Expression): void {
  const { visitAst } = refa();
  const { end } = classes();
  visitAst(expression, {
    onCharacterClassEnter(node) {
      node.characters = confineSet(node.characters);
    },
  });
  visitAst(expression, {
    onUnknownEnter(node) {
      const { parent } = node;
      if (parent.type !== 'Concatenation') throw new TypeError(`${node.id} stands in a ${parent.type}`);
      if (node.id !== '$') throw new TypeError(`${node.id} is not decidable`);
      parent.elements[parent.elements.indexOf(node)] = {
        type: 'CharacterClass',
        parent,
        characters: end,
      };
    },
  });
}

interface Edge {
  readonly min: number;
  readonly max: number;
  readonly to: number;
}

/** Builds the tables from an automaton in which `$` is a mark character. */
function flatten(dfa: DFA): Automaton {
  const nodes = [...dfa.nodes()];
  const numbers = new Map(nodes.map((node, i) => [node as DFA.ReadonlyNode, i]));
  const edges: Edge[][] = nodes.map((node) =>
    [...node.out].map(([{ min, max }, to]) => ({ min, max, to: numbers.get(to) as number })),
  );

  // Only more marks can follow a `$`. So a node accepts if marks lead from it to an accepting node.
  const accepts = new Uint8Array(nodes.length);
  for (const node of dfa.finals) accepts[numbers.get(node) as number] = 1;
  spread(accepts, edges, (edge) => edge.min <= END && edge.max >= END);
  const alive = accepts.slice();
  spread(alive, edges, (edge) => edge.max > END);

  const { columns, samples } = columnsOf(edges);
  const width = samples.length;
  // State 0 is the one before the first character, which is the slash. The nodes that can reach an accepting
  // one follow.
  let size = 1;
  const states = Int32Array.from(alive, (is) => (is === 1 ? size++ : -1));
  const next = new Int32Array(size * width).fill(-1);
  const accepting = new Uint8Array(size);
  edges.forEach((out, node) => {
    const state = states[node] as number;
    if (state === -1) return;
    accepting[state] = accepts[node] as number;
    samples.forEach((code, column) => {
      next[state * width + column] = follow(out, code, states);
    });
  });
  const afterSlash = follow(edges[numbers.get(dfa.initial) as number] as Edge[], SLASH, states);
  next[columns[SLASH] as number] = afterSlash;
  return { columns, width, next, accepting, initial: afterSlash === -1 ? -1 : 0 };
}

function follow(out: readonly Edge[], code: number, states: Int32Array): number {
  for (const { min, max, to } of out) {
    if (code >= min && code <= max) return states[to] as number;
  }
  return -1;
}

/** Marks each node from which a chosen edge leads to a marked node, until no more nodes can be marked. */
function spread(marked: Uint8Array, edges: readonly Edge[][], chosen: (edge: Edge) => boolean): void {
  for (let grown = true; grown; ) {
    grown = false;
    for (let node = edges.length - 1; node >= 0; node--) {
      if (marked[node] === 1) continue;
      if (!(edges[node] as Edge[]).some((edge) => marked[edge.to] === 1 && chosen(edge))) continue;
      marked[node] = 1;
      grown = true;
    }
  }
}

/** One column, and one sample character, for each class of characters that all nodes treat alike. */
function columnsOf(edges: readonly Edge[][]): { columns: Uint8Array; samples: number[] } {
  const bounds = new Set<number>([END + 1, SLASH, SLASH + 1]);
  for (const out of edges) {
    for (const { min, max } of out) bounds.add(min).add(max + 1);
  }
  // The class of each range of characters, refined node by node.
  const stretches = [...bounds].filter((code) => code > END && code < 128).sort((a, b) => a - b);
  let classes = stretches.map((code): number => (code === SLASH ? 1 : 0));
  for (const out of edges) {
    if (out.length === 0) continue;
    const refined = new Map<number, number>();
    classes = classes.map((before, i) => {
      const code = stretches[i] as number;
      const edge = out.find(({ min, max }) => code >= min && code <= max);
      const key = before * (edges.length + 1) + (edge === undefined ? 0 : edge.to + 1);
      return getOrInsert(refined, key, () => refined.size);
    });
  }
  const columns = new Uint8Array(128);
  const samples: number[] = [];
  stretches.forEach((start, i) => {
    const column = classes[i] as number;
    samples[column] ??= start;
    columns.fill(column, start, stretches[i + 1] ?? 128);
  });
  return { columns, samples };
}
