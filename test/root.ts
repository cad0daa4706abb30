import { fileURLToPath } from 'node:url';

/** The checkout's folder, seen from the compiled place `build/test/`. */
export const root: string = fileURLToPath(new URL('../../', import.meta.url));
