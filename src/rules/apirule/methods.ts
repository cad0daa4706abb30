import { nearest } from '../../document/nearest.js';
import { METHODS, RULE_METHODS } from '../../model/methods.js';

const REFUSED_METHODS: Readonly<Record<string, string>> = {
  CONNECT: 'it opens a tunnel, whose content scopegate could not check; remove it',
  TRACE: "its response repeats the request's header fields, including credentials; remove it",
};

/** A method that a rule must not name. */
export interface MethodProblem {
  /** Its index in the list. */
  readonly index: number;
  readonly code: string;
  readonly problem: string;
}

/** Finds the methods of a rule that are unknown, never forwarded, or listed twice. */
export function methodProblems(methods: readonly string[]): MethodProblem[] {
  return methods.flatMap((method, index): MethodProblem[] => {
    if (methods.indexOf(method) < index)
      return [{ index, code: 'invalid-value', problem: `${method} is listed twice` }];
    const code = 'invalid-method';
    if (Object.hasOwn(REFUSED_METHODS, method)) {
      return [{ index, code, problem: `${method} is never forwarded: ${REFUSED_METHODS[method]}` }];
    }
    if (RULE_METHODS.includes(method)) return [];
    const every = /^(ALL|ANY)$/i.test(method);
    const hint = every ? undefined : (nearest(method, METHODS) ?? nearest(method, RULE_METHODS));
    const more =
      hint === undefined
        ? `; it must be one of ${METHODS.join(', ')}, or another method that Node can parse, such as PROPFIND`
        : `; did you mean ${hint}?`;
    return [{ index, code, problem: `no method is called "${method}"${more}` }];
  });
}
