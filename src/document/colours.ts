import type { WriteStream } from 'node:tty';

/** The parameters of SGR (ECMA-48 §8.3.117) that scopegate uses. */
const SGR = { bold: 1, red: 31, green: 32, yellow: 33, blue: 34 } as const;

/** How a piece of text is shown. */
export type Colour = keyof typeof SGR;

/** Shows a text in a colour; without colours, it returns the text as it is. */
export type Paint = (text: string, colour: Colour) => string;

/** The paint of streams that show colours, or of those that do not. */
export function painter(isColoured: boolean): Paint {
  return isColoured ? (text, colour) => `\u001b[${SGR[colour]}m${text}\u001b[0m` : (text) => text;
}

/**
 * Whether text on a stream should have colours. As for Node itself, `FORCE_COLOR` decides if it is set: empty,
 * `1`, `2`, `3` or `true` for colours, anything else for none. Otherwise `NO_COLOR` (https://no-color.org) turns
 * them off, and without it, terminals that can show colours get them.
 */
export function hasColours(
  stream: { readonly isTTY?: boolean } & Partial<Pick<WriteStream, 'hasColors'>>,
  environment: Readonly<Record<string, string | undefined>>,
): boolean {
  const { FORCE_COLOR: forced } = environment;
  if (forced !== undefined) return ['', '1', '2', '3', 'true'].includes(forced);
  if (environment.NO_COLOR !== undefined || stream.isTTY !== true) return false;
  return stream.hasColors?.({ ...environment }) === true;
}
