import type { Rule } from '../../auth/decide.js';
import type { Finding } from '../../document/finding.js';
import { relate } from '../pattern/overlap.js';
import { positionOf } from './disjointness.js';

/**
 * Warns where one APIRule v2 lets more in here than in Kyma. There, a path that an earlier rule has is taken out of
 * every later rule that shares a method with it, for the methods that the earlier rule lacks as well: a request with
 * such a method was denied. Here, methods are part of what a rule matches, and the later rule answers.
 *
 * @param rules of one APIRule, in its order
 */
export function kymaExclusions(rules: readonly Rule[]): Finding[] {
  const findings: Finding[] = [];
  rules.forEach((later, index) => {
    for (const earlier of rules.slice(0, index)) {
      if (!later.methods.some((method) => earlier.methods.includes(method))) continue;
      const opened = later.methods.filter((method) => !earlier.methods.includes(method));
      if (opened.length === 0) continue;
      const { relation, witness } = relate(later.pattern, earlier.pattern);
      if (relation === 'disjoint') continue;
      findings.push({
        ...positionOf(later),
        level: 'warning',
        code: 'kyma-excluded-path',
        message:
          `${later.path}: Kyma denied ${opened.join(', ')} ${witness ?? earlier.path}, for the earlier rule ` +
          `${earlier.path} has the path; here this rule answers. Give the methods rules of their own to say which`,
      });
    }
  });
  return findings;
}
