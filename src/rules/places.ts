import type { Position } from '../document/finding.js';
import type { Path, SourceDocument } from '../document/yaml.js';

/** A document without its syntax tree. It knows the positions that it was asked for earlier. */
export interface RecordedDocument extends SourceDocument {
  /** By {@link placeKey}. */
  readonly places: ReadonlyMap<string, Position>;
}

/** A document that records which positions it is asked for. */
export interface RecordingDocument extends SourceDocument {
  /** The same document without its syntax tree, which takes more memory than everything else. */
  sealed(): RecordedDocument;
}

/**
 * Makes a document record which positions it is asked for. Another thread, which has no syntax tree, needs
 * the same positions.
 */
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

/** Makes a document from known positions. Any other position is the beginning of the file. */
export function withPlaces(
  file: string,
  value: unknown,
  places: ReadonlyMap<string, Position>,
): RecordedDocument {
  const at = (path: Path): Position => places.get(placeKey(path)) ?? { file, line: 1, col: 1 };
  return { file, value, places, at, keyAt: at };
}

/** Converts a path to a key for a Map. */
function placeKey(path: Path): string {
  return path.join('\n');
}
