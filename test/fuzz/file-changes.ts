import { hostileValue, SNIPPETS } from './hostile-values.js';
import type { Random } from './random.js';

/** Changes one to three places of a value tree. */
export function changedTree(tree: unknown, random: Random): unknown {
  let changed = tree;
  for (let count = 1 + random.below(3); count > 0; count--) changed = changeOne(changed, random);
  return changed;
}

function changeOne(tree: unknown, random: Random): unknown {
  const places: (readonly (string | number)[])[] = [];
  const collect = (value: unknown, path: readonly (string | number)[]): void => {
    places.push(path);
    if (typeof value !== 'object' || value === null) return;
    for (const [key, each] of Object.entries(value)) {
      collect(each, [...path, Array.isArray(value) ? Number(key) : key]);
    }
  };
  collect(tree, []);
  return changeAt(tree, random.pick(places), random);
}

function changeAt(tree: unknown, path: readonly (string | number)[], random: Random): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return replacement(tree, random);
  if (Array.isArray(tree))
    return tree.map((each, index) => (index === step ? changeAt(each, rest, random) : each));
  return Object.fromEntries(
    Object.entries(tree as object).map(([key, each]) => [
      key,
      key === step ? changeAt(each, rest, random) : each,
    ]),
  );
}

function replacement(value: unknown, random: Random): unknown {
  const hostile = hostileValue(random);
  // The examples hold JSON inside of strings: annotations, ConfigMaps.
  if (typeof value === 'string' && /^[[{]"/.test(value) && random.chance(0.7))
    return changedJson(value, random);
  if (typeof value === 'string' && typeof hostile === 'string' && random.chance(0.4)) {
    const at = random.below(value.length + 1);
    return value.slice(0, at) + hostile + value.slice(at);
  }
  if (Array.isArray(value) && random.chance(0.6)) return [...value, random.chance(0.5) ? hostile : value[0]];
  if (typeof value === 'object' && value !== null && random.chance(0.6)) {
    const key = typeof hostile === 'string' && random.chance(0.5) ? hostile : 'more';
    return Object.fromEntries([...Object.entries(value), [key, hostileValue(random)]]);
  }
  return hostile;
}

function changedJson(text: string, random: Random): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return changedText(text, random);
  }
  return JSON.stringify(changeOne(value, random));
}

/** Puts hostile text into a file at one to three places. */
export function changedText(text: string, random: Random): string {
  let changed = text;
  for (let count = 1 + random.below(3); count > 0; count--) {
    const at = random.chance(0.3) ? 0 : random.below(changed.length + 1);
    const cut = random.chance(0.3) ? random.below(30) : 0;
    changed = changed.slice(0, at) + random.pick(SNIPPETS) + changed.slice(at + cut);
  }
  return changed;
}
