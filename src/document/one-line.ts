/**
 * Characters that end a line, move the cursor, turn the direction of a text, or cannot be seen: control and
 * format characters, line and paragraph separators (Unicode Cc, Cf, Zl, Zp).
 */
export const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Writes a character as JSON can escape it: `\uXXXX` for each UTF-16 code unit. */
export function escaped(character: string): string {
  let text = '';
  for (let i = 0; i < character.length; i++)
    text += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return text;
}

/**
 * Makes untrusted text (a file's name or content, an argument, a claim) safe for one line of a report and for the
 * admin page: characters that end the line, control the terminal, change the order of letters or cannot be seen are
 * written as `\uXXXX`.
 */
export function oneLine(text: string): string {
  return text.replace(UNSAFE, escaped);
}
