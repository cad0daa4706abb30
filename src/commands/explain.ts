import { isError } from '../document/finding.js';
import { oneLine } from '../document/one-line.js';
import type { Allowed } from '../model/decision.js';
import { isObject } from '../model/json.js';
import {
  type Candidate,
  type Explanation,
  explain,
  explanationJson,
  type TokenClaims,
} from '../rules/explain.js';
import { relevantFindings } from '../rules/relevant-findings.js';
import { type Io, readArgs, reportFindings, requireConfig, UsageError } from './command.js';
import { load } from './load.js';
import { showProgress } from './progress.js';

export const help = `Usage: scopegate explain --config FILE METHOD URL [OPTIONS]

Shows which rule decides a request, why the other rules do not match, and the
decision. It uses the same code as 'serve' and sends nothing. Of the warnings
that 'check' prints, it prints those about the rules that match.

Options:
  -c, --config FILE   the settings file (YAML or JSON)
  --scope "a b"       assume an active token with these scopes; without any of
                      the token options, the request carries no token
  --aud A             an audience of the token; can be repeated
  --iss URL           the issuer of the token
  --sub S             the subject of the token
  --client-id C       the client of the token
  --claims JSON       other claims of the token, for example '{"acr":"gold"}'
  --json              print JSON
  --no-color          no colours, also on a terminal
  -h, --help          print this help

Environment:
  SCOPEGATE_<PATH>    overrides one setting, for example
                      SCOPEGATE_LISTEN_PROXY_PORT=8080

Exit code:
  0  allowed
  1  denied, or the settings or rules have errors
  2  bad usage

Example:
  scopegate explain --config config/folder.yaml GET https://httpbin.localhost/headers --scope read
`;

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  scope: { type: 'string' },
  aud: { type: 'string', multiple: true },
  iss: { type: 'string' },
  sub: { type: 'string' },
  'client-id': { type: 'string' },
  claims: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

/**
 * `scopegate explain`: shows the decision about one request and the reasons.
 *
 * @returns the exit code
 * @throws UsageError for invalid arguments
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, OPTIONS, true);
  const [method, url, ...more] = positionals;
  const config = requireConfig(values.config);
  if (method === undefined || url === undefined || more.length > 0)
    throw new UsageError('explain needs exactly one METHOD and one URL');
  const { table, findings } = load(config, io.environment, showProgress(io, 'explain'));
  if (table === undefined) {
    reportFindings(io, findings.filter(isError));
    return 1;
  }

  const { scope, aud, iss, sub } = values;
  const clientId = values['client-id'];
  const token = tokenClaims(scope, aud, iss, sub, clientId, readClaims(values.claims));
  let explanation: Explanation;
  try {
    explanation = explain(table, { method, url, ...(token === undefined ? {} : { token }) });
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
  reportFindings(io, relevantFindings(findings, explanation));
  io.out(
    values.json
      ? `${JSON.stringify(explanationJson(method, url, explanation), null, 2)}\n`
      : toText(method, url, explanation),
  );
  return explanation.decision.allowed ? 0 : 1;
}

/**
 * Builds the claims of the assumed token.
 *
 * @param scope scopes, separated by spaces
 * @returns undefined if no option is given: the request then carries no token
 */
export function tokenClaims(
  scope: string | undefined,
  audience: readonly string[] | undefined,
  issuer: string | undefined,
  subject: string | undefined,
  clientId: string | undefined,
  claims: TokenClaims['claims'],
): TokenClaims | undefined {
  if ([scope, audience, issuer, subject, clientId, claims].every((option) => option === undefined)) {
    return undefined;
  }
  return {
    scopes: (scope ?? '').split(' ').filter((item) => item !== ''),
    audience: audience ?? [],
    ...(issuer === undefined ? {} : { issuer }),
    ...(subject === undefined ? {} : { subject }),
    ...(clientId === undefined ? {} : { clientId }),
    ...(claims === undefined ? {} : { claims }),
  };
}

function readClaims(text: string | undefined): TokenClaims['claims'] {
  if (text === undefined) return undefined;
  let claims: unknown;
  try {
    claims = JSON.parse(text);
  } catch {
    throw new UsageError('--claims must be JSON');
  }
  if (!isObject(claims)) throw new UsageError('--claims must be a JSON object');
  return claims;
}

const VERDICTS: Readonly<Record<Candidate['failed'], string>> = {
  host: 'other host',
  method: 'other method',
  path: 'other path',
  overridden: 'a more specific rule decides',
  contested: 'another rule matches too, and scopegate cannot prove which is more specific: refused',
  decision: 'decides: denied',
  none: 'decides: allowed',
};

function toText(method: string, url: string, explanation: Explanation): string {
  const { target, decision, status, candidates } = explanation;
  const lines = [`${method} ${url}`];
  if (target !== undefined) lines.push(`  host ${target.host}, path ${target.path}`);
  lines.push('');
  // Rules for other hosts are only counted.
  const near = candidates.filter(({ failed }) => failed !== 'host');
  const rows = near.map((candidate) => [
    candidate.rule.id,
    candidate.rule.methods.join(','),
    candidate.rule.path,
    candidate.rule.strategies.map(({ handler }) => handler).join(','),
    scopesOf(candidate).join(' ') || '-',
    VERDICTS[candidate.failed],
    candidate.rule.source,
  ]);
  if (rows.length > 0) {
    lines.push(...columns([['RULE', 'METHODS', 'PATH', 'STRATEGY', 'SCOPES', 'VERDICT', 'SOURCE'], ...rows]));
  }
  const far = candidates.length - near.length;
  if (far > 0) lines.push(`${far} ${far === 1 ? 'rule is' : 'rules are'} for other hosts`);
  lines.push('');
  if (decision.allowed && decision.rule.document !== undefined) {
    lines.push(`allowed: scopegate serves the document ${decision.rule.document.text}`);
  } else if (decision.allowed) lines.push(...forwarded(decision));
  else lines.push(`denied: ${status} ${decision.denial.error}: ${decision.denial.reason}`);
  if (decision.rule?.observes === true) {
    lines.push('enforcement is observe: scopegate forwards the request, whatever it decides');
  }
  return `${lines.map(oneLine).join('\n')}\n`;
}

/** The authorizers that ask nobody. All others are services. */
const DECIDED_HERE: ReadonlySet<string> = new Set(['allow', 'deny']);

function forwarded({ rule, path, sentPath }: Allowed): string[] {
  const { authorizers, upstream } = rule;
  const asked = (authorizers ?? []).filter((name) => !DECIDED_HERE.has(name));
  return [
    `allowed: forwarded to ${upstream.origin}${sentPath ?? path}`,
    ...(sentPath === undefined ? [] : [`  path matched ${path}, path sent ${sentPath}`]),
    ...(asked.length === 0
      ? []
      : [`  if the authorizer ${asked.join(' and ')} allows it, which explain does not call`]),
  ];
}

function scopesOf({ rule }: Pick<Candidate, 'rule'>): string[] {
  return rule.strategies.flatMap(({ requiredScopes }) => requiredScopes);
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
