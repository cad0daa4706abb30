import type { Finding } from '../../document/finding.js';
import { SPEC_ANNOTATION } from './annotation.js';

/** Suggests what to write instead of a path in the syntax of other routers. */
export function globHint(path: string): string {
  if (/\{[A-Za-z_*][\w*-]*\}|\/:[A-Za-z_]\w*/.test(path)) {
    return '; a path is a regular expression: for one segment write [^/]+';
  }
  return /\*\*|(?:^|\/)\*/.test(path)
    ? '; a path is a regular expression, not a glob: to match any rest of a path write /.*'
    : '';
}

/**
 * Adds a hint to a finding about missing rules. For an APIRule that was written as v1beta1, kubectl shows no
 * rules, because they are in an annotation.
 */
export function withoutRules(finding: Finding): Finding {
  if (finding.message !== 'spec must have the field "rules"') return finding;
  const message = `${finding.message}; of an APIRule that was written as v1beta1, Kyma keeps it in the annotation ${SPEC_ANNOTATION}, which is missing here`;
  return { ...finding, message };
}
