import { PATH_CHARACTERS } from './alphabet.js';

/** A path pattern in JavaScript's dialect. */
export interface Translated {
  readonly ok: true;
  readonly source: string;
  /** `i` or nothing. */
  readonly flags: string;
  /** For each character of `source`, the offset in the original that it came from. */
  readonly origins: readonly number[];
}

/** Why a pattern cannot be translated without changing its meaning. */
export interface Untranslatable {
  readonly ok: false;
  readonly code: 'pattern-dialect' | 'bad-pattern';
  readonly message: string;
}

/**
 * Translates a path pattern into JavaScript's dialect from those that the rules were written for: RE2 in
 * Envoy and Go's `regexp`, and `regexp2`, which is .NET's dialect, in Oathkeeper. It translates a construct
 * only if the result is exact for the paths that can occur. Otherwise it refuses the pattern and names the
 * construct. JavaScript without the `u` flag would read most of these constructs as literal letters and
 * silently match something else.
 *
 * The translation is exact because a path is printable ASCII on one line: `\z`, `\Z` and `(?m)$` are all `$`;
 * `(?s)` changes nothing; `\pL` and POSIX classes are the ASCII members of their class; `(?i)` at the start
 * is the `i` flag; an escaped byte (`%c3`, `%2e`) is written as `parse/target.ts` writes it.
 */
export function translate(pattern: string): Translated | Untranslatable {
  const translator = new Translator(pattern);
  try {
    translator.run();
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, code: error.code, message: error.message };
    throw error;
  }
  return {
    ok: true,
    source: translator.output,
    flags: translator.ignoreCase ? 'i' : '',
    origins: translator.origins,
  };
}

class Refusal extends Error {
  readonly code: Untranslatable['code'];
  constructor(code: Untranslatable['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** Escapes that mean the same in every dialect, for the paths that can occur. */
const COMMON_ESCAPES = new Set('dDwWsSbBnrtfv');

const ESCAPE_NAMES: Readonly<Record<string, string>> = {
  C: 'single byte \\C',
  E: '\\E without \\Q',
  G: 'anchor \\G',
  K: 'reset \\K',
  N: 'escape \\N',
  R: 'newline \\R',
  X: 'grapheme \\X',
  a: 'bell \\a',
  c: 'control escape \\c',
  e: 'escape \\e',
  g: 'group reference \\g',
  h: 'horizontal space \\h',
  H: 'horizontal space \\H',
  u: 'escape \\u',
};

const GROUP_NAMES: readonly (readonly [prefix: string, name: string])[] = [
  ['(?>', 'atomic group (?>…)'],
  ['(?#', 'comment (?#…)'],
  ['(?|', 'branch reset (?|…)'],
  ['(?(', 'conditional (?(…)…)'],
  ['(?R', 'recursion (?R)'],
  ['(?&', 'recursion (?&…)'],
  ['(?P=', 'backreference (?P=…)'],
  ['(?P>', 'recursion (?P>…)'],
  ['(?+', 'recursion (?+…)'],
  ['(?0', 'recursion (?0)'],
];

const FLAG_NAMES: Readonly<Record<string, string>> = {
  U: 'ungreedy flag (?U)',
  x: 'free-spacing flag (?x)',
  n: 'explicit-capture flag (?n)',
  J: 'duplicate-names flag (?J)',
  u: 'Unicode flag (?u)',
};

const POSIX: Readonly<Record<string, RegExp>> = {
  alnum: /[0-9A-Za-z]/,
  alpha: /[A-Za-z]/,
  ascii: /[\x00-\x7f]/,
  blank: /[\t ]/,
  cntrl: /[\x00-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[!-~]/,
  lower: /[a-z]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[\t\n\v\f\r ]/,
  upper: /[A-Z]/,
  word: /[0-9A-Za-z_]/,
  xdigit: /[0-9A-Fa-f]/,
};

const REPEAT = /\{(\d+)(,\d*)?\}/y;
const INLINE_FLAGS = /\(\?([A-Za-z]*)(?:-([A-Za-z]*))?([:)])/y;
const NAMED_GROUP = /\(\?(?:P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')/y;
const ESCAPED_BYTE = /%([0-9A-Fa-f]{2})(?![*+?{])/y;
const UNRESERVED = /[0-9A-Za-z\-._~]/;

/** A translation, and the number of characters of the pattern that it replaces. */
type Piece = readonly [text: string, length: number];

class Translator {
  readonly #text: string;
  #at = 0;
  output = '';
  readonly origins: number[] = [];
  ignoreCase = false;
  /**
   * Whether something that consumes characters has been written. A flag after it would not apply to the whole
   * pattern.
   */
  #begun = false;
  #groups = 0;
  readonly #names = new Set<string>();
  /**
   * Numbers that may be references, with their offsets. Whether they are references depends on the number of
   * groups.
   */
  readonly #references: { number: number; at: number }[] = [];
  #namedReference: number | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  run(): void {
    while (this.#at < this.#text.length) this.#take(this.#next());
    for (const { number, at } of this.#references) {
      if (number > this.#groups) this.#refuse(`octal escape \\${number}`, at);
    }
    if (this.#namedReference !== undefined && this.#names.size === 0)
      this.#refuse('escape \\k', this.#namedReference);
  }

  #next(): Piece {
    const char = this.#text[this.#at] as string;
    if (char > '~') this.#refuseForeign(this.#at);
    if (char === '\\') return this.#escape(false);
    if (char === '(') return this.#group();
    if (char !== '^') this.#begun = true;
    if (char === '[') return this.#set();
    if (char === '*' || char === '+' || char === '?' || char === '{') return this.#quantifier(char);
    if (char === '%') return this.#byte();
    return this.#copy(1);
  }

  #escape(inSet: boolean): Piece {
    const at = this.#at;
    const char = this.#text[at + 1];
    if (char === undefined) this.#refuse('trailing backslash', at, 'bad-pattern');
    if (char > '~') this.#refuseForeign(at + 1);
    if (!inSet) {
      if (char === 'A') return ['^', 2];
      this.#begun = true;
      if (char === 'z' || char === 'Z') return ['$', 2];
      if (char === 'Q') return this.#quoted();
      if (char === 'k' && this.#text[at + 2] === '<') {
        this.#namedReference ??= at;
        return this.#copy(2);
      }
    }
    if (COMMON_ESCAPES.has(char)) {
      if (inSet && (char === 'b' || char === 'B')) this.#refuse(`\\${char} in a class`, at);
      return this.#copy(2);
    }
    if (char === 'p' || char === 'P') return this.#property(inSet);
    if (char === 'x' || char === 'u') return this.#codePoint(char);
    if (char >= '0' && char <= '9') return this.#number(inSet);
    if (/[A-Za-z]/.test(char)) this.#refuse(ESCAPE_NAMES[char] ?? `escape \\${char}`, at);
    return this.#copy(2);
  }

  /** `\1`, `\12`, `\0`, `\012`. */
  #number(inSet: boolean): Piece {
    const digits = /\d+/y;
    digits.lastIndex = this.#at + 1;
    const [text] = digits.exec(this.#text) as RegExpExecArray;
    if (text.startsWith('0') || inSet) this.#refuse(`octal escape \\${text}`, this.#at);
    this.#references.push({ number: Number(text), at: this.#at });
    return this.#copy(1 + text.length);
  }

  /** `\x2F`, `\x{2F}`, `\u002F`. */
  #codePoint(kind: string): Piece {
    const form = kind === 'x' ? /\\x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/y : /\\u([0-9A-Fa-f]{4})/y;
    form.lastIndex = this.#at;
    const found = form.exec(this.#text);
    if (found === null) this.#refuse(`escape \\${kind}`, this.#at);
    const code = Number.parseInt((found[1] ?? found[2]) as string, 16);
    if (code > 0x10ffff) this.#refuse(`escape ${found[0]}`, this.#at);
    if (code > 0x7e) this.#refuseForeign(this.#at, String.fromCodePoint(code));
    return [`\\x${code.toString(16).padStart(2, '0')}`, found[0].length];
  }

  /** `\pL`, `\p{Greek}`, `\p{^Lu}`, `\P{N}`: the ASCII members, according to the engine's own tables. */
  #property(inSet: boolean): Piece {
    const form = /\\([pP])(?:\{(\^?)([A-Za-z_]+)\}|([A-Z]))/y;
    form.lastIndex = this.#at;
    const found = form.exec(this.#text);
    if (found === null) this.#refuse('Unicode class', this.#at);
    const [whole, letter, caret, long, short] = found;
    const name = (long ?? short) as string;
    const set = name === 'Any' ? /[\x00-\x7f]/ : unicodeSet(name);
    if (set === undefined) this.#refuse(`Unicode class ${whole}`, this.#at);
    const negated = (letter === 'P') !== (caret === '^');
    return [members((char) => set.test(char) !== negated, inSet), whole.length];
  }

  /** `\Q…\E`; without `\E` it lasts up to the end. */
  #quoted(): Piece {
    const end = this.#text.indexOf('\\E', this.#at + 2);
    const stop = end === -1 ? this.#text.length : end;
    const quoted = this.#text.slice(this.#at + 2, stop);
    const foreign = quoted.search(/[^ -~]/);
    if (foreign !== -1) this.#refuseForeign(this.#at + 2 + foreign);
    const text = quoted.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    return [text, (end === -1 ? stop : stop + 2) - this.#at];
  }

  /** A bracket expression. */
  #set(): Piece {
    const start = this.#at;
    this.#take(this.#copy(this.#text[start + 1] === '^' ? 2 : 1));
    if (this.#text[this.#at] === ']') this.#refuse('] as the first character of a class', this.#at);
    while (this.#text[this.#at] !== ']') {
      const char = this.#text[this.#at];
      if (char === undefined) this.#refuse('class without its closing ]', start, 'bad-pattern');
      if (char > '~') this.#refuseForeign(this.#at);
      this.#take(this.#member(char));
    }
    return this.#copy(1);
  }

  #member(char: string): Piece {
    const after = this.#text[this.#at + 1] ?? '';
    if (char === '\\') return this.#escape(true);
    if (char === '[' && this.#text[this.#at - 1] === '-') this.#refuse('class subtraction', this.#at);
    if (char === '[' && /[:.=]/.test(after)) return this.#posix();
    if (char === '&' && after === '&') this.#refuse('class intersection', this.#at);
    return this.#copy(1);
  }

  #posix(): Piece {
    const form = /\[([:.=])(\^?)([a-z]+)\1\]/y;
    form.lastIndex = this.#at;
    const found = form.exec(this.#text);
    const set = found?.[1] === ':' ? POSIX[found[3] as string] : undefined;
    if (found === null || set === undefined) this.#refuse('POSIX class', this.#at);
    return [members((char) => set.test(char) !== (found[2] === '^'), true), found[0].length];
  }

  #group(): Piece {
    const rest = this.#text.slice(this.#at, this.#at + 5);
    if (rest.startsWith('(*')) this.#refuse('verb (*…)', this.#at);
    if (!rest.startsWith('(?')) {
      this.#groups++;
      this.#begun = true;
      return this.#copy(1);
    }
    for (const [prefix, name] of GROUP_NAMES) {
      if (rest.startsWith(prefix)) this.#refuse(name, this.#at);
    }
    NAMED_GROUP.lastIndex = this.#at;
    const named = NAMED_GROUP.exec(this.#text);
    if (named !== null) {
      const name = (named[1] ?? named[2]) as string;
      if (this.#names.has(name)) this.#refuse(`second group with the name ${name}`, this.#at, 'bad-pattern');
      this.#groups++;
      this.#names.add(name);
      this.#begun = true;
      return [`(?<${name}>`, named[0].length];
    }
    if (/^\(\?(?:[:=!]|<[=!])/.test(rest)) {
      this.#begun = true;
      return this.#copy(rest[2] === '<' ? 4 : 3);
    }
    return this.#flags();
  }

  /** `(?i)`, `(?s-m)`, `(?s:…)`. */
  #flags(): Piece {
    INLINE_FLAGS.lastIndex = this.#at;
    const found = INLINE_FLAGS.exec(this.#text);
    if (found === null) this.#refuse(`group ${this.#text.slice(this.#at, this.#at + 4)}`, this.#at);
    const [whole, on, off, end] = found as unknown as [string, string, string | undefined, string];
    for (const flag of `${on}${off ?? ''}`) {
      if (!'ims'.includes(flag)) this.#refuse(FLAG_NAMES[flag] ?? `flag (?${flag})`, this.#at);
    }
    if (off?.includes('i') && this.ignoreCase) this.#refuse('flag (?-i) after (?i)', this.#at);
    if (on.includes('i')) {
      if (end === ':') this.#refuse('flag (?i:…) for a part of the pattern', this.#at);
      if (this.#begun && !this.ignoreCase) this.#refuse('flag (?i) after the start of the pattern', this.#at);
      this.ignoreCase = true;
    }
    if (end === ')') return ['', whole.length];
    this.#begun = true;
    return ['(?:', whole.length];
  }

  #quantifier(char: string): Piece {
    let length = 1;
    if (char === '{') {
      REPEAT.lastIndex = this.#at;
      const found = REPEAT.exec(this.#text);
      if (found === null) {
        const what = /^\{,\d+\}/.test(this.#text.slice(this.#at))
          ? 'repetition {,n}'
          : 'brace that is not a repetition';
        this.#refuse(`${what} (write \\{ for the character)`, this.#at);
      }
      length = found[0].length;
    }
    if (this.#text[this.#at + length] === '+') this.#refuse('possessive quantifier', this.#at);
    return this.#copy(this.#text[this.#at + length] === '?' ? length + 1 : length);
  }

  /**
   * An escaped byte outside a class, in its canonical form: in upper case, or decoded if it is an unreserved
   * character.
   */
  #byte(): Piece {
    ESCAPED_BYTE.lastIndex = this.#at;
    const found = ESCAPED_BYTE.exec(this.#text);
    if (found === null) return this.#copy(1);
    const hex = found[1] as string;
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    if (UNRESERVED.test(char)) return [char === '.' ? '\\.' : char, 3];
    return [`%${hex.toUpperCase()}`, 3];
  }

  #copy(length: number): Piece {
    return [this.#text.slice(this.#at, this.#at + length), length];
  }

  #take([text, length]: Piece): void {
    this.output += text;
    for (let i = 0; i < text.length; i++) this.origins.push(this.#at);
    this.#at += length;
  }

  #refuse(construct: string, at: number, code: Untranslatable['code'] = 'pattern-dialect'): never {
    const why = code === 'bad-pattern' ? '' : ' is not supported';
    throw new Refusal(code, `${construct} at character ${at + 1}${why}`);
  }

  #refuseForeign(
    at: number,
    char: string = String.fromCodePoint(this.#text.codePointAt(at) as number),
  ): never {
    const escaped = /[\ud800-\udfff]/.test(char) && char.length === 1 ? undefined : encodeURIComponent(char);
    const hint = escaped?.startsWith('%') ? `: paths are matched percent-encoded, write ${escaped}` : '';
    throw new Refusal('pattern-dialect', `non-ASCII character at character ${at + 1}${hint}`);
  }
}

function unicodeSet(name: string): RegExp | undefined {
  for (const property of [name, `Script=${name}`]) {
    try {
      return new RegExp(`\\p{${property}}`, 'u');
    } catch {
      // It is not a general category or a binary property, so it may be a script.
    }
  }
  return undefined;
}

/** The path characters for which `belongs` is true, as a class or as the inside of one. */
function members(belongs: (char: string) => boolean, inSet: boolean): string {
  const text = PATH_CHARACTERS.filter(belongs)
    .map((char) => char.replace(/[\\\]^[-]/, '\\$&'))
    .join('');
  // An empty inside of a class must not change the meaning of what surrounds it. NUL occurs in no path, so it
  // is used instead.
  if (inSet) return text === '' ? '\\x00' : text;
  return text === '' ? '[\\x00]' : `[${text}]`;
}
