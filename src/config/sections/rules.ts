import type { Position } from '../../document/finding.js';
import { list } from '../kinds.js';

/** For each list of paths: the position of each path in the settings file. */
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
 * Finds the position in the settings file at which a path of rules is named.
 *
 * @param paths the value of the setting `rules`
 * @returns undefined if the setting does not have the path
 */
export function placeOfRules(paths: readonly string[], path: string): Position | undefined {
  return places.get(paths)?.[paths.indexOf(path)];
}
