import { setFlagsFromString } from 'node:v8';

/** Roughly the bytes of WebAssembly that a function may run through before it is optimized; V8's own choice is 1,800,000. */
const BUDGET = 1_000_000_000;

/**
 * Leaves the optimizing compiler out until it is worth its cost: process-wide, for WebAssembly that is compiled from now on.
 *
 * The one WebAssembly here is the parser with which undici reads the answers of authorization servers. All of it is one
 * function of 34 kB, and V8 optimizes that after the first answer: 60 to 120 ms of processor time and up to 29 MiB of
 * memory just when the first requests arrive, to save some 10 µs an answer. With this budget it does so after some
 * hundreds of answers, and a gateway that sees few tokens never pays.
 *
 * A V8 that does not know the flag any more says so on stderr and goes on.
 */
export function optimizeLate(): void {
  setFlagsFromString(`--wasm-tiering-budget=${BUDGET}`);
}
