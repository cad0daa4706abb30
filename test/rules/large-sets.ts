import { apiRule, rule } from '../gateway.js';

/** Paths as APIRules have them, for the rule with a number; no two of them overlap. */
const SHAPES: readonly ((n: number) => string)[] = [
  (n) => `/api/resource-${n}`,
  (n) => `/api/resource-${n}/[^/]+`,
  (n) => `/resource-${n}(/.*)?`,
  (n) => `/api/v[12]/resource-${n}/\\d+/items`,
  (n) => `/resource-${n}/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
];
/** Rules of one APIRule. */
const PER_DOCUMENT = 10;

/** Harmless rules by the thousand, on some thirty hosts, as documents of one file. */
export function manyRules(count: number): string {
  const documents: string[] = [];
  for (let from = 0; from < count; from += PER_DOCUMENT) {
    const rules = Array.from({ length: Math.min(PER_DOCUMENT, count - from) }, (_, i) => {
      const path = (SHAPES[i % SHAPES.length] as (n: number) => string)(from + i);
      const mutators = [{ handler: 'header', config: { headers: { 'X-User': '{{ print .Subject }}' } } }];
      return rule(path, ['GET', 'POST'], 'read', i % 3 === 0 ? { mutators } : {});
    });
    const number = from / PER_DOCUMENT;
    documents.push(apiRule(`h${number % 30}.example.com`, rules, `many-${number}`));
  }
  return documents.join('\n---\n');
}

/** Rule files that take far more time or memory than their size says, by what they are. */
export const HOSTILE: Readonly<Record<string, () => string>> = {
  'two patterns with 2^100 states': () => paths('/[ab]*a[ab]{100}', '/[ab]*b[ab]{100}'),
  '40 paths whose automata have a million pairs of states': () =>
    paths(
      ...Array.from({ length: 40 }, (_, i) => `/(?:[a-y]{${900 + 2 * i}})*(?:${letter(i)}|z${letter(i)})`),
    ),
  '40 paths that are slow to analyse': () =>
    paths(...Array.from({ length: 40 }, (_, i) => `/[ab]*${i % 2 === 0 ? 'a' : 'b'}[ab]{60}c{${i + 1}}`)),
  'a mapping of 200,000 anchors': () => lines(200_000, (i) => `a${i}: &a${i} x`),
  'a sequence of 200,000 anchors': () => lines(200_000, (i) => `- &a${i} x`),
  'a mapping of 200,000 keys': () => lines(200_000, (i) => `a${i}: x`),
  '200,000 aliases': () => `a: &a x\nb:\n${lines(200_000, () => '  - *a')}`,
  'aliases of aliases': () =>
    `a0: &a0 [ ${'x, '.repeat(90)}x ]\n${lines(8, (i) => `a${i + 1}: &a${i + 1} [ ${`*a${i}, `.repeat(90)}x ]`)}`,
  'a text of 30 MB': () => `a: "${'x'.repeat(30_000_000)}"\n`,
  'a comment of 30 MB': () => `a: b #${'x'.repeat(30_000_000)}\n`,
  'a block of 30 MB': () => `a: |\n${'  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n'.repeat(880_000)}`,
  '100,000 brackets': () => `a: ${'['.repeat(100_000)}\n`,
  '100,000 dashes': () => `${'- '.repeat(100_000)}x\n`,
  '3,000 levels of mappings': () => lines(3_000, (i) => `${' '.repeat(i)}a:`),
  '200,000 rules of a wrong type': () =>
    `kind: APIRule\napiVersion: gateway.kyma-project.io/v1beta1\nspec:\n  rules: [ ${'1, '.repeat(200_000)}1 ]\n`,
  '200,000 hosts of a wrong type': () =>
    `kind: APIRule\napiVersion: gateway.kyma-project.io/v2\nspec:\n  hosts: [ ${'1, '.repeat(200_000)}1 ]\n  rules: []\n`,
  'a rule of 200 KB': () =>
    apiRule('a.example', [
      rule('/x', ['GET'], 'read', {
        mutators: [
          {
            handler: 'header',
            config: { headers: Object.fromEntries(names(5_000, (i) => [`X-${i}`, 'x'.repeat(20)])) },
          },
        ],
      }),
    ]),
};

function letter(i: number): string {
  return `${String.fromCharCode(65 + (i % 26))}${String.fromCharCode(65 + Math.floor(i / 26))}`;
}

function names<T>(count: number, make: (i: number) => T): T[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

function lines(count: number, make: (i: number) => string): string {
  return `${names(count, make).join('\n')}\n`;
}

function paths(...all: readonly string[]): string {
  return apiRule(
    'slow.example',
    all.map((path) => rule(path, ['GET'], 'read')),
    'slow',
  );
}
