/** With the room for four members that every object has. */
const OBJECT = 56;
const LIST = 32;
/** A place in an object that shares its shape with others, or in a list. */
const PLACE = 8;
const NUMBER = 16;
const TEXT = 24;
/** What describes a shape of its own, */
const SHAPE = 104;
/** and a member of such an object, besides its name: it is in a table, or V8 describes the shape. */
const OWN_MEMBER = 104;
/** The same of an object with so many members that V8 keeps them in a table in any case. */
const TABLE_MEMBER = 48;
const MANY_MEMBERS = 128;

/** Shapes of objects seen lately, by their members' names: objects that have the same ones share what describes them. */
const shapes = new Set<string>();
/** A set that is full begins anew. */
const MAX_SHAPES = 500;
/** Longer ones are not kept, so that the set stays small: they are taken for a shape of their own each time. */
const MAX_SHAPE = 2_000;

/**
 * About how much memory a value takes, in bytes: what V8 needs for it on 64 bits, so that a limit in bytes holds for
 * values of any kind and size. Names count as well as what they name, unless many objects have the same names.
 *
 * @param value as `JSON.parse` made it
 */
export function memorySize(value: unknown): number {
  let bytes = 0;
  // Nobody says how deep a value nests.
  const left: unknown[] = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next === 'string') bytes += textSize(next);
    else if (typeof next === 'number') bytes += NUMBER;
    else if (Array.isArray(next)) {
      bytes += LIST + PLACE * next.length;
      for (const each of next) left.push(each);
    } else if (typeof next === 'object' && next !== null) {
      const names = Object.keys(next);
      bytes += OBJECT + membersSize(names);
      for (const name of names) left.push((next as Readonly<Record<string, unknown>>)[name]);
    }
  }
  return bytes;
}

/** A text, in bytes; with a character beyond Latin-1 it has two for each. */
export function textSize(text: string): number {
  return TEXT + text.length * (WIDE.test(text) ? 2 : 1);
}

const WIDE = /[^\0-\xff]/;

function membersSize(names: readonly string[]): number {
  const isMany = names.length > MANY_MEMBERS;
  if (isKnown(names)) return names.length * (isMany ? TABLE_MEMBER : PLACE);
  let bytes = SHAPE + names.length * OWN_MEMBER;
  for (const name of names) bytes += textSize(name);
  return bytes;
}

/** Whether an object with these names in this order has been seen lately. */
function isKnown(names: readonly string[]): boolean {
  if (names.length === 0) return true;
  let length = names.length;
  for (const name of names) length += name.length;
  if (length > MAX_SHAPE) return false;
  const shape = names.join('\0');
  if (shapes.has(shape)) return true;
  if (shapes.size >= MAX_SHAPES) shapes.clear();
  shapes.add(shape);
  return false;
}
