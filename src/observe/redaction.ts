/** What the log says about an exception: its kind, and where it happened. */
export interface ErrorTrace {
  /** The name of its class. */
  readonly name: string;
  /** The error code of Node or of a library, if there is one. */
  readonly code?: string;
  /** The stack frames, innermost first. */
  readonly stack: string;
}

/**
 * Describes an exception without its message: messages quote the input that caused the error, which may be a
 * token or a secret.
 *
 * @param error any thrown value
 */
export function traceOf(error: unknown): ErrorTrace {
  if (!(error instanceof Error)) return { name: typeof error, stack: '' };
  const { code } = error as { code?: unknown };
  // The stack begins with the message, which may have several lines.
  const head = `${error.name}: ${error.message}`;
  const stack = error.stack ?? '';
  const at = stack.startsWith(head) ? head.length : 0;
  const frames = stack
    .slice(at)
    .split('\n')
    .filter((line) => /^ {4}at .*(?::\d+:\d+\)?|\(<anonymous>\)|\(native\))$/.test(line));
  return {
    name: error.name,
    ...(typeof code === 'string' ? { code } : {}),
    stack: frames.map((line) => line.trim()).join('\n'),
  };
}

/**
 * A URL for the log: scheme, host and path. Its query may hold a secret, and so may what stands before the host.
 */
export function withoutQuery(url: string): string {
  return url.replace(/[?#].*/s, '').replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1');
}

/**
 * Names a failure in one word: the error code, or the name of the class. Never the message, for the same
 * reason.
 *
 * @param error any thrown value
 */
export function causeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  if (typeof code === 'string') return code;
  // Many libraries do not set the `name` of their error classes.
  return error instanceof Error && name === 'Error' ? error.constructor.name : String(name);
}
