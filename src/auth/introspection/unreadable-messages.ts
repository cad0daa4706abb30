/** Milliseconds between two times that everything is forgotten. */
const EVERY = 1_000;

/**
 * Handles messages of other gateways that no configured key decrypts. Each may be a purge, from a gateway with
 * another key, so this gateway must forget all cached answers. Somebody who can write to the store can send such
 * messages too: at most once a second all answers are forgotten, so that a flood of them cannot keep the
 * gateway from using its cache at all.
 */
export class UnreadableMessages {
  readonly #forgetAll: () => void;
  #timer: NodeJS.Timeout | undefined;
  #arrived = false;

  /** @param forgetAll forgets all cached answers */
  constructor(forgetAll: () => void) {
    this.#forgetAll = forgetAll;
  }

  /** A message has arrived: forgets all answers now, or within a second if that has just been done. */
  arrived(): void {
    if (this.#timer === undefined) this.#forget();
    else this.#arrived = true;
  }

  #forget(): void {
    this.#arrived = false;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#arrived) this.#forget();
    }, EVERY).unref();
    this.#forgetAll();
  }
}
