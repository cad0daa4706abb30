/** Characters that end a line, move the cursor or turn the direction of a text (Unicode Bidi_Control). */
export const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/**
 * Makes untrusted text (a file's name or content, an argument) safe for one line of a report: characters that
 * end the line, control the terminal or change the order of letters are written as `\uXXXX`.
 */
export function oneLine(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
