/** An object, with the room for four members that every object has, in bytes as all sizes here. */
const OBJECT = 56;
const LIST = 32;
/** One member of an object that shares its shape with others, or one item of a list. */
const PLACE = 8;
const NUMBER = 16;
const TEXT = 24;
/** The description of a shape (V8's hidden class) that no other object shares. */
const SHAPE = 104;
/**
 * One member of such an object, without its name: an entry in a table, or a part of the description of the
 * shape.
 */
const OWN_MEMBER = 104;
/** The same for an object with so many members that V8 always keeps them in a table. */
const TABLE_MEMBER = 48;
const MANY_MEMBERS = 128;

/**
 * The shapes of recent objects, by the names of their members. Objects with the same names share one
 * description.
 */
const shapes = new Set<string>();
/** When the set has this many shapes, it is emptied. */
const MAX_SHAPES = 500;
/**
 * Shapes whose names have more characters together are not kept, so that the set stays small. Each counts as
 * a new one.
 */
const MAX_SHAPE = 2_000;

/**
 * Estimates how much memory a value takes in V8 on a 64-bit system, in bytes, so that a limit in bytes works
 * for values of any kind and size. The names of members count too, unless many objects share them.
 *
 * @param value as `JSON.parse` made it
 */
export function memorySize(value: unknown): number {
  let bytes = 0;
  // A list instead of recursion, because a value may be nested to any depth.
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

/** The size of a string in bytes. If it has a character beyond Latin-1, each character takes two bytes. */
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
