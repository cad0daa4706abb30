import type { IdentityFieldSettings } from '../config/sections/identity-fields.js';
import { fieldKey } from '../parse/field-names.js';
import { IDENTITY_TABLE } from './identity-table.js';

/** Decides which request fields state something that only scopegate may state. */
export interface IdentityFilter {
  /** @param name in lower case, as received */
  judge(name: string): FieldVerdict;
}

/** Whether a client's field may be forwarded, judged by its name. */
export interface FieldVerdict {
  /** The name in the form of {@link plainName}. */
  readonly plain: string;
  /** Whether a client's field must not reach the upstream. */
  readonly removed: boolean;
}

/**
 * The most cached verdicts. Legitimate clients use few names; the limits stop invented names from filling the
 * memory.
 */
const MAX_KNOWN = 1_000;
const MAX_KNOWN_LENGTH = 64;

/**
 * Builds the filter. It removes the client's fields of {@link IDENTITY_TABLE}, as changed by the settings.
 */
export function createIdentityFilter(settings: IdentityFieldSettings): IdentityFilter {
  const removes = compile(settings);
  const known = new Map<string, FieldVerdict>();
  return {
    judge(name) {
      const before = known.get(name);
      if (before !== undefined) return before;
      const plain = plainName(name);
      const verdict = { plain, removed: removes(name, plain) };
      if (known.size < MAX_KNOWN && name.length <= MAX_KNOWN_LENGTH) known.set(name, verdict);
      return verdict;
    },
  };
}

function compile({ remove, keep }: IdentityFieldSettings): (name: string, plain: string) => boolean {
  const table = new NamePatterns();
  for (const { fields, except = [] } of IDENTITY_TABLE) {
    for (const field of fields) table.add(field, true);
    for (const field of except) table.add(field, false);
  }
  const own = new NamePatterns();
  const removed = new NamePatterns();
  for (const field of remove) {
    own.add(field, true);
    removed.add(field, true);
  }
  for (const field of keep) own.add(field, false);
  return (name, plain) => {
    // `keep` applies only to the exact spelling; `remove` applies to every spelling.
    const said = own.find(name) ?? (name === plain ? undefined : removed.find(plain));
    return said ?? (name.includes('_') || table.find(plain) === true);
  };
}

/**
 * The same as {@link fieldKey}, without an expression for the names that it does not change: those of most
 * fields.
 *
 * @param name in lower case
 */
export function plainName(name: string): string {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    const plain = (code >= 0x61 && code <= 0x7a) || code === 0x2d || (code >= 0x30 && code <= 0x39);
    // A leading `$` marks WebSphere's private fields.
    if (!plain && !(i === 0 && code === 0x24)) return fieldKey(name);
  }
  return name;
}

/**
 * Names and prefixes of names, each with a verdict. A request has about twenty fields, so a look-up must be
 * cheap. It tries the name itself, then the prefixes with the same first segment. For names that begin with
 * `x-`, that is the first two segments.
 */
class NamePatterns {
  readonly #names = new Map<string, boolean>();
  readonly #bySegment = new Map<string, Beginning[]>();
  /** Prefixes that end within a segment. */
  readonly #loose: Beginning[] = [];

  /** @param pattern a name, or a prefix of names that ends in `*`; in any case */
  add(pattern: string, verdict: boolean): void {
    const lower = pattern.toLowerCase();
    if (!lower.endsWith('*')) {
      this.#names.set(lower, verdict);
      return;
    }
    const text = lower.slice(0, -1);
    const segment = firstSegment(text);
    let list = this.#loose;
    if (segment !== undefined) {
      list = this.#bySegment.get(segment) ?? [];
      this.#bySegment.set(segment, list);
    }
    list.push({ text, verdict });
    // The longest prefix comes first, because it is the most specific.
    list.sort((a, b) => b.text.length - a.text.length);
  }

  /** The verdict of the most specific pattern; undefined if no pattern matches. */
  find(name: string): boolean | undefined {
    const exact = this.#names.get(name);
    if (exact !== undefined) return exact;
    const segment = firstSegment(name);
    const found = segment === undefined ? undefined : longest(this.#bySegment.get(segment), name);
    if (this.#loose.length === 0) return found?.verdict;
    const loose = longest(this.#loose, name);
    return (loose?.text.length ?? 0) > (found?.text.length ?? 0) ? loose?.verdict : found?.verdict;
  }
}

interface Beginning {
  readonly text: string;
  readonly verdict: boolean;
}

/** `remote` for `remote-user`, `x-remote` for `x-remote-user`; undefined if no hyphen ends the segment. */
function firstSegment(name: string): string | undefined {
  const hyphen = name.indexOf('-', name.startsWith('x-') ? 2 : 0);
  return hyphen === -1 ? undefined : name.slice(0, hyphen);
}

function longest(beginnings: readonly Beginning[] | undefined, name: string): Beginning | undefined {
  if (beginnings === undefined) return undefined;
  for (const beginning of beginnings) if (name.startsWith(beginning.text)) return beginning;
  return undefined;
}
