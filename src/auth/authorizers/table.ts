import type { AuthorizerKind } from './authorizer.js';
import { allow, deny } from './fixed.js';
import { remote, remoteJson } from './remote.js';

/** Every authorizer that a rule can name. To add one, add a file in this folder and a line here. */
export const authorizers: ReadonlyMap<string, AuthorizerKind> = new Map(
  [allow, deny, remoteJson, remote].map((kind) => [kind.name, kind]),
);
