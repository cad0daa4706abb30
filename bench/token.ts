/** A token as long as Hydra's opaque ones; the number leads to it again. */
export function tokenOf(number: number): string {
  return `ory_at_${String(number).padStart(43, 'a')}.${'b'.repeat(43)}`;
}

/** The token of whoever needs but one. */
export const TOKEN = tokenOf(0);
