/** Milliseconds between two looks, and the longest that anything is waited for. */
const LOOK = 2;
const PATIENCE = 30_000;

/**
 * Asks again until something is so, for what no event tells.
 *
 * @param patience the longest wait, in milliseconds
 * @returns what it was that held: anything but false, undefined, null, 0 and the empty string
 * @throws where it does not come to that in that time
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  patience = PATIENCE,
): Promise<NonNullable<T>> {
  const late = performance.now() + patience;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (performance.now() > late) throw new Error(`it never came to this: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK));
  }
}
