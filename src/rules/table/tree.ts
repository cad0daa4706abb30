import type { Rule } from '../../model/rule.js';
import { getOrInsert } from '../pattern/get-or-insert.js';
import { shapeOf } from '../pattern/syntax.js';

/** A rule of one host pattern and method, with how many others hold all that it holds there. */
export interface Entry {
  readonly rule: Rule;
  readonly depth: number;
}

/**
 * The rules of one host pattern and method, by the segments of their paths: a segment that is literal is one look-up,
 * whatever the number of rules, and only the rules that agree with all of a path's segments are tried on it.
 */
export class Tree {
  readonly #literals = new Map<string, Entry>();
  readonly #root = new Node();
  /** Whether a match is the only one, as it is where no rule lies inside another. */
  readonly #flat: boolean;

  private constructor(flat: boolean) {
    this.#flat = flat;
  }

  /**
   * Makes one, in steps of some microseconds.
   *
   * @param depths by rule; a rule that is missing lies inside no other
   */
  static *grow(rules: readonly Rule[], depths?: ReadonlyMap<Rule, number>): Generator<void, Tree> {
    const tree = new Tree(depths === undefined || depths.size === 0);
    // The innermost first: among those that agree with a path's segments, the first to match is the one.
    const byDepth = new Map<number, Rule[]>();
    for (const rule of rules) {
      getOrInsert(byDepth, depths?.get(rule) ?? 0, () => [] as Rule[]).push(rule);
      yield;
    }
    for (const depth of [...byDepth.keys()].sort((a, b) => b - a)) {
      for (const rule of byDepth.get(depth) as Rule[]) {
        tree.#add({ rule, depth });
        yield;
      }
    }
    return tree;
  }

  #add(entry: Entry): void {
    const { literal, prefix } = shapeOf(entry.rule.pattern);
    if (literal) this.#literals.set(prefix, entry);
    else this.#root.add(entry);
  }

  /** The innermost rule that matches a canonical path. */
  find(path: string): Entry | undefined {
    // A literal rule lies inside every other that matches its path.
    const literal = this.#literals.size === 0 ? undefined : this.#literals.get(path);
    return literal ?? visit(this.#root, path, 1, undefined, this.#flat);
  }
}

/**
 * @param at where the segment begins by which the node's children are told apart
 * @param found what has been found so far
 * @param flat whether that would be final
 */
function visit(
  node: Node,
  path: string,
  at: number,
  found: Entry | undefined,
  flat: boolean,
): Entry | undefined {
  let best = node.open === undefined ? found : node.open.find(path, at, found);
  const { segments, other } = node;
  if (at > path.length || (segments === undefined && other === undefined)) return best;
  const slash = path.indexOf('/', at);
  const end = slash === -1 ? path.length : slash;
  if (segments !== undefined && (best === undefined || !flat)) {
    const next = segments.get(path.slice(at, end));
    if (next !== undefined) best = descend(next, path, slash, best, flat);
  }
  if (other !== undefined && (best === undefined || !flat)) best = descend(other, path, slash, best, flat);
  return best;
}

/** @param slash where the segment ends that led here, or -1 where it is the last */
function descend(
  next: Node,
  path: string,
  slash: number,
  found: Entry | undefined,
  flat: boolean,
): Entry | undefined {
  if (slash !== -1) return visit(next, path, slash + 1, found, flat);
  const best = firstOf(next.closed, path, found);
  // Of the rules that may have more segments some may also have none.
  return next.open === undefined ? best : next.open.find(path, path.length + 1, best);
}

/** A place in the tree: a number of segments, some of them literal. */
class Node {
  /** By a literal segment: what follows it. */
  segments: Map<string, Node> | undefined;
  /** What follows a segment that is not literal. */
  other: Node | undefined;
  /** The rules with no more segments than these. */
  readonly closed: Entry[] = [];
  /** The rules that may have more. */
  open: Open | undefined;

  add(entry: Entry): void {
    const { segments, complete, residue } = shapeOf(entry.rule.pattern);
    let node: Node = this;
    for (const segment of segments) node = node.#child(segment);
    if (complete) node.closed.push(entry);
    else {
      node.open ??= new Open();
      node.open.add(residue, entry);
    }
  }

  #child(segment: string | undefined): Node {
    if (segment === undefined) {
      this.other ??= new Node();
      return this.other;
    }
    this.segments ??= new Map();
    return getOrInsert(this.segments, segment, () => new Node());
  }
}

/** Rules by what the next segment begins with. */
class Open {
  readonly #byResidue = new Map<string, Entry[]>();
  /** The lengths of the beginnings, the longest first. */
  #lengths: number[] = [];

  add(residue: string, entry: Entry): void {
    getOrInsert(this.#byResidue, residue, () => [] as Entry[]).push(entry);
    this.#lengths = [...new Set([...this.#lengths, residue.length])].sort((a, b) => b - a);
  }

  find(path: string, at: number, found: Entry | undefined): Entry | undefined {
    let best = found;
    for (const length of this.#lengths) {
      if (at + length > path.length && length > 0) continue;
      const entries = this.#byResidue.get(length === 0 ? '' : path.slice(at, at + length));
      if (entries !== undefined) best = firstOf(entries, path, best);
    }
    return best;
  }
}

/** The first of the entries that matches and lies deeper than what was found. */
function firstOf(entries: readonly Entry[], path: string, found: Entry | undefined): Entry | undefined {
  for (const entry of entries) {
    if (found !== undefined && entry.depth <= found.depth) return found;
    if (entry.rule.pattern.test(path)) return entry;
  }
  return found;
}
