// How the page makes elements. What it shows comes from requests, tokens and rule files, so everything is inserted as
// text, never as markup.

import { oneLine } from '../../document/one-line.js';

/** What can be put into an element: an element, or a text. */
export type Part = Node | string | number | undefined;

const SVG = 'http://www.w3.org/2000/svg';

/** Returns the element of the page with this id. */
export function at<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no ${id}`);
  return element as T;
}

/** Makes an element that contains texts and other elements. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  content: Part | readonly Part[] = [],
  className = '',
): HTMLElementTagNameMap[K] {
  const element = document.createElement(name);
  if (className !== '') element.className = className;
  for (const part of [content].flat()) {
    if (part !== undefined) element.append(part instanceof Node ? part : oneLine(String(part)));
  }
  return element;
}

/** Makes an SVG element. */
export function svg(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  content: readonly (Node | string)[] = [],
): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...content);
  return element;
}

/** A text in the font for code. */
export const code = (text: string): HTMLElement => make('code', text);

/** A short word in a colour that says whether it is good or bad. */
export const badge = (text: string, kind: string): HTMLElement => make('span', text, `badge ${kind}`);

/** A table cell. */
export const cell = (content: Part | readonly Part[], className = ''): HTMLTableCellElement =>
  make('td', content, className);

/** A cell with a count. On a narrow page, where no head is above it, it says what it counts. */
export function count(value: string, label: string): HTMLTableCellElement {
  const element = cell(make('span', value), 'number');
  element.dataset.label = label;
  return element;
}

/** A row of head cells. */
export function headRow(names: readonly string[]): HTMLTableRowElement {
  return make(
    'tr',
    names.map((name) => {
      const head = make('th', name);
      head.scope = 'col';
      return head;
    }),
  );
}

/** A button that does something. */
export function button(text: string, action: () => void, className = 'quiet-button'): HTMLButtonElement {
  const element = make('button', text, className);
  element.type = 'button';
  element.addEventListener('click', action);
  return element;
}

/** A link to the documentation. */
export function docs(page: string, text: string): HTMLAnchorElement {
  const element = make('a', text);
  element.href = `https://github.com/example/scopegate/blob/main/docs/${page}`;
  element.rel = 'noreferrer';
  return element;
}

/** A list of names with values. */
export function facts(
  entries: readonly (readonly [name: string, value: Part | readonly Part[]])[],
): HTMLElement {
  return make(
    'dl',
    entries.map(([name, value]) => make('div', [make('dt', name), make('dd', value)])),
    'facts',
  );
}

/**
 * Makes the children of an element be these, in order. Elements that stay are not touched, so they keep the focus.
 */
export function reconcile(parent: Element, wanted: readonly Element[]): void {
  const set = new Set(wanted);
  for (const child of [...parent.children]) if (!set.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const element of wanted) {
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
}

/** Sets the text of an element if it is another one, so that screen readers do not repeat it. */
export function setText(element: Element, text: string): void {
  const shown = oneLine(text);
  if (element.textContent !== shown) element.textContent = shown;
}
