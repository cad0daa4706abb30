/** What a process gets that has no descriptor, no port or no memory left for a connection (connect(2), socket(2)). */
const SHORTAGES: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

/** Whether a call failed for want of something in this process: whom it was meant for has not been asked. */
export function isResourceExhaustion(error: unknown): boolean {
  return SHORTAGES.has((error as { code?: unknown } | null | undefined)?.code);
}
