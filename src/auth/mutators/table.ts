import { cookie } from './cookie.js';
import { header } from './header.js';
import { hydrator } from './hydrator.js';
import { idToken } from './id-token.js';
import type { MutatorKind } from './mutator.js';
import { noop } from './noop.js';

/** Every mutator that a rule can name. To add one, add a file in this folder and a line here. */
export const mutators: ReadonlyMap<string, MutatorKind> = new Map(
  [noop, header, cookie, idToken, hydrator].map((kind) => [kind.name, kind]),
);
