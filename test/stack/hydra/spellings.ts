const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * All spellings that Hydra takes for one opaque token: with its prefix or without, and with any value of the two bits
 * that the last character of the first part does not use.
 *
 * @param token `ory_at_` and two parts of 32 bytes each in base64url
 */
export function spellings(token: string): string[] {
  const [key = '', signature = ''] = token.replace(/^ory_at_/, '').split('.');
  const last = BASE64URL.indexOf(key.at(-1) as string) & ~3;
  return ['ory_at_', ''].flatMap((prefix) =>
    [0, 1, 2, 3].map((bits) => `${prefix}${key.slice(0, -1)}${BASE64URL[last | bits]}.${signature}`),
  );
}

/**
 * The spelling in which a token was issued, of any that Hydra takes. Written apart from the gateway's own, so that a
 * mistake there does not pass here.
 */
export function canonical(token: string): string {
  const [, prefix = 'ory_at_', key = '', signature] =
    /^(ory_[a-z]{2}_)?([\w-]{43})\.([\w-]{43})$/.exec(token) ?? [];
  if (signature === undefined) return token;
  return `${prefix}${Buffer.from(key, 'base64url').toString('base64url')}.${signature}`;
}
