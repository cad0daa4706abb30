/** Certificates that expire within this many seconds need attention; the alert has the same bound. */
const EXPIRES_SOON = 7 * 86_400;

/**
 * Says that a certificate expires within a week, or has expired.
 *
 * @param expiresAt seconds since 1970
 * @param now seconds since 1970
 * @returns the end of a sentence about the certificate; undefined if it is valid for longer
 */
export function expiryProblem(
  expiresAt: number,
  now: number,
): { readonly isOver: boolean; readonly message: string } | undefined {
  if (expiresAt - now >= EXPIRES_SOON) return undefined;
  if (expiresAt <= now) return { isOver: true, message: 'has expired' };
  const days = Math.ceil((expiresAt - now) / 86_400);
  return { isOver: false, message: `expires within ${days} ${days === 1 ? 'day' : 'days'}` };
}
