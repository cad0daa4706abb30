import type { Rule } from '../../model/rule.js';
import { getOrInsert } from '../pattern/get-or-insert.js';
import { type Shape, shapeOf } from '../pattern/syntax.js';

/** The rules of one host pattern and one method. */
export class HostEntry {
  readonly host: string;
  readonly method: string;
  readonly rules: Rule[] = [];

  constructor(host: string, method: string) {
    this.host = host;
    this.method = method;
  }
}

/** All sites, by host pattern and method. A site is one host pattern with one method. */
export class HostIndex {
  readonly #byHost = new Map<string, Map<string, HostEntry>>();
  /** Rules times hosts times methods. */
  size = 0;

  add(rule: Rule): void {
    for (const host of ownHosts(rule.hosts)) {
      for (const method of new Set(rule.methods)) {
        this.#site(host, method).rules.push(rule);
        this.size++;
      }
    }
  }

  /** The rules of one host pattern, as it is written, and one method. */
  entry(host: string, method: string): HostEntry | undefined {
    return this.#byHost.get(host)?.get(method);
  }

  #site(host: string, method: string): HostEntry {
    const methods = getOrInsert(this.#byHost, host, () => new Map<string, HostEntry>());
    return getOrInsert(methods, method, () => new HostEntry(host, method));
  }

  get hosts(): IterableIterator<[host: string, methods: ReadonlyMap<string, HostEntry>]> {
    return this.#byHost.entries();
  }

  *[Symbol.iterator](): Generator<HostEntry> {
    for (const methods of this.#byHost.values()) yield* methods.values();
  }

  /** The sites of the same method whose host patterns contain all hosts of this one, and more. */
  *around({ host, method }: Pick<HostEntry, 'host' | 'method'>): Generator<HostEntry> {
    for (const wildcard of wildcardsAround(host)) {
      const site = this.#byHost.get(wildcard)?.get(method);
      if (site !== undefined) yield site;
    }
  }
}

/**
 * The `*.suffix` patterns that contain all hosts of a pattern, and more; the narrowest is first. A wildcard
 * matches one or more labels, as in Istio: `*.example.com` contains `a.b.example.com`, but not `example.com`.
 * `*` contains all hosts.
 *
 * No wildcard contains a name with a dot at its end. Servers such as nginx take it for the name without the
 * dot, so `*` would answer requests that a rule for that name protects.
 */
export function* wildcardsAround(host: string): Generator<string> {
  if (host.endsWith('.')) return;
  const from = host.startsWith('*.') ? 2 : 0;
  for (let dot = host.indexOf('.', from); dot !== -1; dot = host.indexOf('.', dot + 1))
    yield `*${host.slice(dot)}`;
  if (host !== ANY) yield ANY;
}

/** The pattern that matches every host. */
const ANY = '*';

/** Whether one of a rule's host patterns matches the host of a request. */
export function holdHost(patterns: readonly string[], host: string): boolean {
  // A request's host is never a pattern.
  if (host.startsWith('*')) return false;
  return (
    patterns.includes(host) || [...wildcardsAround(host)].some((wildcard) => patterns.includes(wildcard))
  );
}

/** A rule's hosts without duplicates and without those that its own wildcards contain. */
function ownHosts(hosts: readonly string[]): string[] {
  const distinct = new Set(hosts);
  return [...distinct].filter(
    (host) => ![...wildcardsAround(host)].some((wildcard) => distinct.has(wildcard)),
  );
}

/**
 * An index of rules by the segments of their paths, to find the rules that may share a path with another one.
 */
export class PathNeighbours {
  readonly #root: Place = newPlace();

  add(rule: Rule): void {
    let place = this.#root;
    for (const segment of shapeOf(rule.pattern).segments) {
      if (segment === undefined) {
        place.other ??= newPlace();
        place = place.other;
      } else {
        place.literals ??= new Map();
        place = getOrInsert(place.literals, segment, newPlace);
      }
    }
    (shapeOf(rule.pattern).complete ? place.closed : place.open).push(rule);
  }

  /** All rules except those that differ from this one in a literal segment or in the number of segments. */
  of(rule: Rule): Rule[] {
    const found: Rule[] = [];
    collect(this.#root, shapeOf(rule.pattern), 0, found);
    return found;
  }
}

/** The rules whose paths begin with the same segments. */
interface Place {
  /** The rules that have exactly these segments. */
  readonly closed: Rule[];
  /** The rules that may have more segments. */
  readonly open: Rule[];
  literals?: Map<string, Place>;
  other?: Place;
}

function newPlace(): Place {
  return { closed: [], open: [] };
}

function collect(place: Place, shape: Shape, at: number, found: Rule[]): void {
  const { segments, complete } = shape;
  for (const rule of place.open) found.push(rule);
  if (at >= segments.length) {
    for (const rule of place.closed) found.push(rule);
    // All rules below this place have more segments.
    if (complete) return;
  }
  const segment = segments[at];
  if (segment === undefined) {
    for (const next of place.literals?.values() ?? []) collect(next, shape, at + 1, found);
  } else {
    const next = place.literals?.get(segment);
    if (next !== undefined) collect(next, shape, at + 1, found);
  }
  if (place.other !== undefined) collect(place.other, shape, at + 1, found);
}
