import type { Rule } from '../../model/rule.js';
import { getOrInsert } from '../pattern/get-or-insert.js';
import { shapeOf } from '../pattern/syntax.js';

/**
 * A rule of one host pattern and method, with the number of other rules there that contain all its requests.
 */
export interface Entry {
  readonly rule: Rule;
  readonly depth: number;
}

/**
 * The rules of one host pattern and method, as a tree of path segments. A literal segment needs one look-up,
 * whatever the number of rules. Only rules that agree with all segments of a path are tried.
 */
export class Tree {
  readonly #literals = new Map<string, Entry>();
  readonly #root = new Node();
  /** Whether the first match is the only one. That is so if no rule lies inside another. */
  readonly #flat: boolean;

  private constructor(flat: boolean) {
    this.#flat = flat;
  }

  /**
   * Builds a tree, in steps of a few microseconds.
   *
   * @param depths by rule; a rule that is missing lies inside no other
   */
  static *grow(rules: readonly Rule[], depths?: ReadonlyMap<Rule, number>): Generator<void, Tree> {
    const tree = new Tree(depths === undefined || depths.size === 0);
    // The innermost rules come first, so that the first match among the rules with the same segments is the
    // right one.
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

  /** Finds the innermost rule that matches a canonical path. */
  find(path: string): Entry | undefined {
    // A literal rule lies inside every other rule that matches its path.
    const literal = this.#literals.size === 0 ? undefined : this.#literals.get(path);
    return literal ?? visit(this.#root, path, 1, undefined, this.#flat);
  }
}

/**
 * Searches below a node.
 *
 * @param at the offset of the segment that selects the child
 * @param found the innermost match so far
 * @param flat whether the first match is final
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

/** @param slash the offset where the segment ends that led here, or -1 if it is the last one */
function descend(
  next: Node,
  path: string,
  slash: number,
  found: Entry | undefined,
  flat: boolean,
): Entry | undefined {
  if (slash !== -1) return visit(next, path, slash + 1, found, flat);
  const best = firstOf(next.closed, path, found);
  // A rule that may have more segments may also match a path without more segments.
  return next.open === undefined ? best : next.open.find(path, path.length + 1, best);
}

/** A node of the tree: a sequence of segments, some of them literal. */
class Node {
  /** The children for literal segments. */
  segments: Map<string, Node> | undefined;
  /** The child for a segment that is not literal. */
  other: Node | undefined;
  /** The rules with exactly these segments. */
  readonly closed: Entry[] = [];
  /** The rules that may have more segments. */
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

/** Rules by the beginning of the next segment. */
class Open {
  readonly #byResidue = new Map<string, Entry[]>();
  /** The lengths of these beginnings, the longest first. */
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

/** The first entry that matches and lies deeper than the match so far. */
function firstOf(entries: readonly Entry[], path: string, found: Entry | undefined): Entry | undefined {
  for (const entry of entries) {
    if (found !== undefined && entry.depth <= found.depth) return found;
    if (entry.rule.pattern.test(path)) return entry;
  }
  return found;
}
