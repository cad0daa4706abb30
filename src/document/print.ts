import { painter } from './colours.js';
import { excerpt } from './excerpt.js';
import { type Finding, formatFinding, formatPosition } from './finding.js';

/** How findings look on a stream. */
export interface Style {
  /** Show the source line, with a caret under the place. */
  readonly excerpts: boolean;
  readonly colours: boolean;
}

/** For files, pipes and CI: one line per finding. */
export const PLAIN: Style = { excerpts: false, colours: false };

/**
 * Prints findings for people: each begins with the line of {@link formatFinding}.
 *
 * @param texts the texts of files by name, for those that are not on the disk; other files are read
 * @returns lines, each with its line feed; empty without findings
 */
export function printFindings(
  findings: readonly Finding[],
  { excerpts, colours }: Style,
  texts?: ReadonlyMap<string, readonly string[]>,
): string {
  const files = new Map(texts);
  const paint = painter(colours);
  return findings
    .map((finding) => {
      const { level } = finding;
      const colour = level === 'error' ? 'red' : 'yellow';
      const place = formatPosition(finding);
      const rest = formatFinding(finding).slice(`${place} ${level}`.length);
      const source = excerpts ? excerpt(finding, files) : undefined;
      const lines = [`${paint(place, 'bold')} ${paint(level, colour)}${rest}`];
      if (source !== undefined) {
        lines.push(`  ${paint(source.gutter, 'blue')}${source.text}`, `  ${paint(source.caret, colour)}`);
      }
      return `${lines.join('\n')}\n`;
    })
    .join('');
}
