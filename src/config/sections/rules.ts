import type { Position } from '../../document/finding.js';
import { list } from '../kinds.js';

/** Where in the settings file each path of a list stands. */
const places = new WeakMap<readonly string[], readonly Position[]>();

/** `rules`: the files and folders that rules are loaded from, as the process can open them. */
export const rules = list('APIRule files, or folders of them (*.yaml, *.yml, *.json).')
  .as((paths, place) => {
    const resolved = paths.map((path) => place.resolve(path));
    places.set(
      resolved,
      resolved.map((_, index) => place.at(index).position),
    );
    return resolved;
  })
  .required();

/**
 * Where the settings file names a path of rules.
 *
 * @param paths the setting
 * @returns undefined if the setting does not have the path
 */
export function placeOfRules(paths: readonly string[], path: string): Position | undefined {
  return places.get(paths)?.[paths.indexOf(path)];
}
