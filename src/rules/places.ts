import type { Position } from '../document/finding.js';
import type { Path, SourceDocument } from '../document/yaml.js';

/** A document without its syntax, which knows the places that it was asked for before. */
export interface RecordedDocument extends SourceDocument {
  /** By {@link placeKey}. */
  readonly places: ReadonlyMap<string, Position>;
}

/** A document that notes which places it is asked for. */
export interface RecordingDocument extends SourceDocument {
  /** The same document without its syntax, which takes more memory than all else. */
  sealed(): RecordedDocument;
}

/** Has a document note which places it is asked for: another thread, which has no syntax, needs the same ones. */
export function recordPlaces(document: SourceDocument): RecordingDocument {
  const { file, value } = document;
  const places = new Map<string, Position>();
  return {
    file,
    value,
    at(path) {
      const place = document.at(path);
      places.set(placeKey(path), place);
      return place;
    },
    keyAt: (path) => document.keyAt(path),
    sealed: () => withPlaces(file, value, places),
  };
}

/** A document with known places; all others are the beginning of its file. */
export function withPlaces(
  file: string,
  value: unknown,
  places: ReadonlyMap<string, Position>,
): RecordedDocument {
  const at = (path: Path): Position => places.get(placeKey(path)) ?? { file, line: 1, col: 1 };
  return { file, value, places, at, keyAt: at };
}

/** A path as a key of a Map. */
function placeKey(path: Path): string {
  return path.join('\n');
}
