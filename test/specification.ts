/**
 * What the decision about a bearer token has to be, written down a second time and without a look at `src/`: no cache,
 * no HTTP, no shapes shared with the gateway. The tests hold the gateway against it.
 */

/** A rule's requirements, as the APIRule's `config` has them. */
export interface SpecifiedRule {
  readonly required_scope: readonly string[];
  readonly scope_strategy: 'exact' | 'hierarchic' | 'wildcard';
  readonly target_audience: readonly string[];
  readonly trusted_issuers: readonly string[];
}

/** An introspection answer (RFC 7662 §2.2), as JSON has it. */
export type SpecifiedAnswer = Readonly<Record<string, unknown>>;

/** The decision's name: `allow`, or the row of the error table. */
export type Verdict = 'allow' | 'invalid_token' | 'insufficient_scope' | 'authorization_server_unavailable';

/**
 * The one right decision.
 *
 * @param now seconds since 1970
 */
export function verdict(rule: SpecifiedRule, answer: SpecifiedAnswer, now: number): Verdict {
  if (answer.active !== true) {
    return answer.active === false ? 'invalid_token' : 'authorization_server_unavailable';
  }
  for (const name of ['exp', 'nbf']) {
    if (name in answer && typeof answer[name] !== 'number') return 'authorization_server_unavailable';
  }
  const valid =
    (answer.exp === undefined || now < (answer.exp as number)) &&
    (answer.nbf === undefined || now >= (answer.nbf as number)) &&
    ['access_token', undefined].includes(answer.token_use as string | undefined) &&
    ['bearer', 'access_token', undefined].includes(
      (answer.token_type as string | undefined)?.toLowerCase(),
    ) &&
    !('cnf' in answer) &&
    (rule.trusted_issuers.length === 0 || rule.trusted_issuers.some((issuer) => issuer === answer.iss)) &&
    rule.target_audience.every((audience) => [answer.aud].flat().includes(audience));
  if (!valid) return 'invalid_token';
  const scope = answer.scope ?? answer.scp ?? [];
  const granted = (typeof scope === 'string' ? scope.split(' ') : (scope as string[])).filter(Boolean);
  const enough = rule.required_scope.every((required) =>
    granted.some((one) => grants(rule.scope_strategy, one, required)),
  );
  return enough ? 'allow' : 'insufficient_scope';
}

function grants(strategy: SpecifiedRule['scope_strategy'], granted: string, required: string): boolean {
  if (strategy === 'exact') return granted === required;
  const quoted = granted.replace(/[^A-Za-z0-9*]/g, '\\$&');
  if (strategy === 'hierarchic')
    return new RegExp(`^${quoted.replaceAll('*', '\\*')}(\\..*)?$`).test(required);
  const pattern = quoted
    .replace(/(^|\\\.)\*$/, '$1[^.]+(\\..*)?')
    .replace(/(^|\\\.)\*(?=\\\.)/g, '$1[^.]+')
    .replace(/(?<=\\\.)\*(?=\\\.)/g, '[^.]+');
  return new RegExp(`^${pattern.replace(/(?<![.)\]])\*/g, '\\*')}$`).test(required);
}
