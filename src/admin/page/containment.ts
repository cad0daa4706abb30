import type { RuleJson, RulesJson } from '../overview.js';
import { badge, button, code, make, type Part } from './dom.js';

/** The most rules inside one rule that are drawn before somebody asks for all. */
const SHOWN = 24;

interface Box {
  readonly rule: RuleJson;
  readonly inside: Box[];
  /** Further rules that contain it, on other hosts or methods. */
  readonly others: string[];
}

/** Draws which rule contains which, as boxes inside boxes. Rules that neither contain nor lie inside any are left out. */
export function picture(rules: readonly RuleJson[], { inside, unproved }: RulesJson['proof']): Part[] {
  const said: Part[] = unproved.map(([a, b]) =>
    make('p', [badge('may overlap', 'bad'), ' ', code(a), ' and ', code(b)]),
  );
  if (inside === undefined) {
    said.push(make('p', 'Too many rules lie inside other rules to draw them.', 'quiet'));
    return said;
  }
  const roots = boxesOf(rules, inside);
  if (roots.length === 0) {
    said.push(make('p', 'No rule lies inside another rule, so there is nothing to draw.', 'quiet'));
    return said;
  }
  said.push(
    make('p', 'Each box is a rule. A rule inside a box decides the requests that both rules match.', 'quiet'),
    list(roots),
  );
  return said;
}

function boxesOf(rules: readonly RuleJson[], inside: readonly (readonly [string, string])[]): Box[] {
  const boxes = new Map<string, Box>(rules.map((rule) => [rule.id, { rule, inside: [], others: [] }]));
  const placed = new Set<string>();
  for (const [inner, outer] of inside) {
    const box = boxes.get(inner);
    const around = boxes.get(outer);
    if (box === undefined || around === undefined) continue;
    if (placed.has(inner)) box.others.push(outer);
    else around.inside.push(box);
    placed.add(inner);
  }
  // The order of the files, which is the order of the rules.
  const order = new Map(rules.map(({ id }, i) => [id, i]));
  const place = ({ rule: { id } }: Box) => order.get(id) ?? 0;
  for (const box of boxes.values()) box.inside.sort((a, b) => place(a) - place(b));
  return [...boxes.values()].filter((box) => box.inside.length > 0 && !placed.has(box.rule.id));
}

/** @param hosts of the rule around them, which need not be repeated */
function list(boxes: readonly Box[], hosts = ''): HTMLElement {
  const drawn = (some: readonly Box[]) => some.map((box) => draw(box, hosts));
  const element = make('ul', drawn(boxes.slice(0, SHOWN)), 'boxes');
  const rest = boxes.slice(SHOWN);
  if (rest.length > 0) {
    const item = make('li', [], 'rest');
    item.append(
      button(`${rest.length} more`, () => {
        item.replaceWith(...drawn(rest));
      }),
    );
    element.append(item);
  }
  return element;
}

function draw({ rule, inside, others }: Box, around: string): HTMLElement {
  const hosts = rule.hosts.join(' ');
  const parts: Part[] = [
    code(`${rule.methods.join(' ')} ${rule.path}`),
    make('small', hosts === around ? rule.id : `${rule.id} on ${hosts}`),
  ];
  if (others.length > 0) parts.push(make('small', `also inside ${others.join(', ')}`));
  if (inside.length > 0) parts.push(list(inside, hosts));
  return make('li', parts, inside.length > 0 ? 'outer' : '');
}
