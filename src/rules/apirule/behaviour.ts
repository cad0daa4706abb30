import { createHash } from 'node:crypto';
import type { Rule } from '../../model/rule.js';
import type { Upstream } from '../../model/upstream.js';
import type { HandlerEntry } from './access-strategies.js';
import type { RuleEntry } from './version.js';

/** What makes a rule's decision depend on its path: a template with captured groups, or a hydrator, which gets them. */
const BY_PATH = /RegexpCaptureGroups|"handler":"hydrator"/;

/**
 * Describes what a rule does with the requests that it matches. It compares what is written, so two rules that mean
 * the same in other words differ.
 *
 * @param upstream of the rule's service
 * @param seconds the timeout that the rule or its APIRule sets
 * @param cors the policy as it is written, or what holds without one
 * @returns no `behaviour` if it depends on the path
 */
export function behaviourOf(
  { accessStrategies, mutators, scopegate, extAuth }: RuleEntry,
  upstream: Upstream,
  seconds: number | undefined,
  cors: unknown,
): Pick<Rule, 'behaviour'> {
  const text = JSON.stringify([
    [accessStrategies.map(plain), (mutators ?? []).map(plain), scopegate ?? {}, extAuth ?? []],
    [upstream, seconds ?? 0, cors],
  ]);
  return BY_PATH.test(text) ? {} : { behaviour: createHash('sha256').update(text).digest('base64') };
}

/** A handler without the ways to say nothing in its `config`. */
function plain({ handler, config }: HandlerEntry): HandlerEntry {
  return { handler: handler === 'no_auth' ? 'allow' : handler, config: config ?? {} };
}
