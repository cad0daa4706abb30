const TYPE = /^multipart\/form-data[ \t]*;[ \t]*boundary=(?:"([^"\\\r\n]{1,70})"|([^\s;"\\]{1,70}))[ \t]*$/i;
const DISPOSITION = /^form-data[ \t]*;[ \t]*name=(?:"([^"\\\r\n]*)"|([^\s;"\\]+))[ \t]*$/i;

/**
 * Reads the text fields of a form in `multipart/form-data` (RFC 7578), as curl's `-F` sends it. It is strict:
 * it reads only what every server reads in the same way, because scopegate concludes from a form without a
 * token that nothing was revoked.
 *
 * @param contentType the value of `Content-Type`
 * @returns names and values; undefined if the form is of another type, holds a file, uses a transfer
 *   encoding, or is broken
 */
export function multipartFields(contentType: string, body: Buffer): [string, string][] | undefined {
  const [, quoted, plain] = TYPE.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) return undefined;
  // Latin-1 keeps each byte, so that the delimiters are found in any content.
  const [preamble, ...parts] = `\r\n${body.toString('latin1')}`.split(`\r\n--${boundary}`);
  const end = parts.pop();
  if (preamble !== '' || (end !== '--' && end !== '--\r\n')) return undefined;
  const fields: [string, string][] = [];
  for (const part of parts) {
    const field = readPart(part);
    if (field === undefined) return undefined;
    fields.push(field);
  }
  return fields;
}

/** @param part what follows a delimiter: its line break, header fields, an empty line, the content */
function readPart(part: string): [string, string] | undefined {
  const middle = part.indexOf('\r\n\r\n');
  if (!part.startsWith('\r\n') || middle < 2) return undefined;
  let name: string | undefined;
  for (const line of part.slice(2, middle).split('\r\n')) {
    const colon = line.indexOf(':');
    const field = line.slice(0, colon).toLowerCase();
    if (field === 'content-disposition' && name === undefined) {
      const [, quoted, plain] = DISPOSITION.exec(line.slice(colon + 1).trim()) ?? [];
      name = quoted ?? plain;
      if (name === undefined) return undefined;
    } else if (field !== 'content-type' && field !== 'content-length') return undefined;
  }
  return name === undefined ? undefined : [utf8(name), utf8(part.slice(middle + 4))];
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString();
}
