/** What the log says of a fault: where it happened, and of what kind. */
export interface ErrorTrace {
  /** The class's name. */
  readonly name: string;
  /** Node's and the libraries' own code, where there is one. */
  readonly code?: string;
  /** The places in the code, innermost first. */
  readonly stack: string;
}

/**
 * Describes a fault without its message: messages quote what they choked on, and that may be a token or a secret.
 *
 * @param error whatever was thrown
 */
export function traceOf(error: unknown): ErrorTrace {
  if (!(error instanceof Error)) return { name: typeof error, stack: '' };
  const { code } = error as { code?: unknown };
  // The stack begins with the message, which may have lines of its own.
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
 * What broke, in a word: a library's code, or the class's name. Never the message, for the same reason.
 *
 * @param error whatever was thrown
 */
export function causeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  if (typeof code === 'string') return code;
  // Many libraries' classes leave the name as they found it.
  return error instanceof Error && name === 'Error' ? error.constructor.name : String(name);
}
