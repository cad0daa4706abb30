import type { SettingInForce } from '../../config/in-force.js';
import { at, badge, cell, code, make, setText } from './dom.js';
import { placeOf } from './format.js';

/** The settings in force. They cannot change while the process runs, so they are read once. */
export class SettingsList {
  #all: readonly SettingInForce[] = [];

  constructor() {
    for (const id of ['setting-search', 'only-set']) at(id).addEventListener('input', () => this.#show());
  }

  show({ file, settings }: { file: string; settings: readonly SettingInForce[] }): void {
    this.#all = settings;
    at('settings-file').replaceChildren(code(file));
    this.#show();
  }

  #show(): void {
    const isOnlySet = at<HTMLInputElement>('only-set').checked;
    const words = at<HTMLInputElement>('setting-search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.#all.filter(
      ({ name, source }) =>
        (!isOnlySet || source !== undefined) && words.every((word) => name.toLowerCase().includes(word)),
    );
    at('settings').replaceChildren(
      ...found.map(({ name, value, source }) => {
        const head = make('th', code(name));
        head.scope = 'row';
        const text = typeof value === 'string' ? value : JSON.stringify(value);
        return make('tr', [
          head,
          cell(code(text === '' ? '""' : text), 'request'),
          cell(source === undefined ? badge('default', '') : code(placeOf(source)), 'wide-only'),
        ]);
      }),
    );
    setText(at('settings-count'), `${found.length} of ${this.#all.length}`);
    at('no-settings').hidden = found.length > 0;
  }
}
