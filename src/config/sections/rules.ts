import { list } from '../kinds.js';

/** `rules`: the files and folders that rules are loaded from, as the process can open them. */
export const rules = list('APIRule files, or folders of them (*.yaml, *.yml, *.json).')
  .as((paths, place) => paths.map((path) => place.resolve(path)))
  .required();
