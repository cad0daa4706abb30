import { ERRORS, type ErrorName, type ErrorRow } from '../../src/model/errors.js';
import { reasonsInCode } from './reasons.js';

/** What to do about an error: for one of its reasons, or for all where `reasons` is empty. */
interface Advice {
  /** Reasons as the client and the audit line have them. */
  readonly reasons: readonly string[];
  /** In Markdown. */
  readonly look: string;
}

const about = (look: string, ...reasons: string[]): Advice => ({ reasons, look });

/** What an operator looks at, error by error. */
export const ADVICE: Readonly<Record<ErrorName, readonly Advice[]>> = {
  malformed_request: [
    about('A client or a proxy writes malformed HTTP.', 'the request cannot be parsed'),
    about(
      'The request has two `Host` or two `Authorization` fields. Or a trusted proxy sends an `X-Forwarded-Proto` with two values (`https, http`), or with none of `http`, `https`, `ws` and `wss`.',
    ),
  ],
  malformed_target: [
    about(
      '[Paths](paths.md) lists what upstreams read in more than one way. A rule can allow some of it.',
      'the path contains an escaped delimiter',
    ),
  ],
  request_timeout: [
    about(
      'The client is slow. The limits are `server.headersTimeout`, `server.bodyIdleTimeout` and `server.minBodyRate`.',
      'the request body stalled',
    ),
  ],
  body_too_large: [about('The limit is `forward.maxBodyBytes`.', 'the request body is too large')],
  target_too_long: [about('The limit is `forward.maxTargetBytes`.')],
  expectation_failed: [about('The client sends an `Expect` other than `100-continue`.')],
  headers_too_large: [about('The limit is `forward.maxHeaderBytes`.')],
  untrusted_peer: [
    about(
      'A proxy asks for a decision and is not trusted: [who gets an answer](forward-auth.md#who-is-answered).',
      'the peer is not listed in trustedProxies',
    ),
  ],
  no_rule: [
    about(
      'Ask `scopegate explain` with the method and the URL. The usual causes: another host name, a slash at the end, or a method that the rule does not list. `GET` does not include `HEAD`.',
      'no rule for this host, method and path',
    ),
    about(
      'If you have just added the rule, look for `rules not reloaded` in the log: then the rules from before are in force.',
    ),
  ],
  method_refused: [about('scopegate serves CONNECT, TRACE and the like to nobody.')],
  no_token: [
    about(
      'The client sends no token, or a proxy removes `Authorization`, or the rule reads the token elsewhere (`token_from`).',
      'the request carries no bearer token',
    ),
  ],
  unauthorized: [about('The rule has the handler `unauthorized`.', 'the rule denies every request')],
  invalid_request: [
    about(
      'The client sends a token in two places, or something that is no token.',
      'the request carries a token in the header and in the query',
    ),
  ],
  invalid_token: [
    about(
      'The token expired or was revoked. Or another authorization server issued it than the one that scopegate asks.',
      'the token is not active',
    ),
    about(
      'Compare the clocks. `introspection.leeway` allows for a difference.',
      'the token has expired',
      'the token is not valid yet',
    ),
    about(
      'Compare `target_audience` and `trusted_issuers` of the rule with what the client asked for.',
      'the token is not meant for this audience',
      'the token is from an issuer that is not trusted',
    ),
    about(
      'The client must prove that it has the key: [proof of possession](proof.md).',
      'the token is bound to a key: it must come with the scheme DPoP and a proof',
    ),
  ],
  invalid_dpop_proof: [about("Look at the client's proof. The reason says what is wrong with it.")],
  use_dpop_nonce: [about('Nothing: a client that knows DPoP repeats the request with the nonce.')],
  insufficient_scope: [
    about(
      '`scope` in the challenge names what the rule requires. `introspection.scopeStrategy` says how scopes are compared.',
      'the token lacks a required scope',
    ),
  ],
  insufficient_user_authentication: [
    about('The rule requires a newer or a stronger login.', 'the user must log in again'),
  ],
  access_denied: [
    about(
      'Compare the claims and the client of the token with what the rule requires.',
      'the client of the token has no access to this resource',
    ),
  ],
  too_many_bad_tokens: [
    about(
      'A client guesses tokens, or goes on with an old one. The limit is `introspection.flood`.',
      'too many invalid tokens came from this client',
    ),
  ],
  too_many_requests: [
    about(
      '[A share for each client](security.md#a-share-for-each-client): `server.clientShare`, `trustedProxies`.',
      'too many requests of this client at once',
    ),
  ],
  authorizer_unavailable: [
    about(
      "A rule's [authorizer](rules.md#authorizers) answered neither 200 nor 403, or not in time. The log has its address.",
      'the authorizer gave no usable answer',
    ),
  ],
  authorization_server_unavailable: [
    about(
      '[`cause`](#cause) in the audit line says what failed, `introspection failed` in the log where. Check the address, `clientAuth`, certificates and `introspection.timeout`.',
      'the authorization server gave no usable answer',
    ),
    about(
      'If the log says `is not ready`: the database of the authorization server is down, or `introspection.readiness` is wrong.',
    ),
    about(
      'A rule with the handler `jwt`: look at the `jwks_urls` of the rule, and whether the issuer serves its keys.',
      'the keys of the issuer cannot be read',
    ),
    about(
      'Look at the service that the [handler or mutator](rules.md) of the rule calls: its address, and what it answers.',
      'the session store gave no usable answer',
      'the token endpoint gave no usable answer',
      'the hydrator gave no usable answer',
    ),
  ],
  overloaded: [
    about('[Overload](operations.md#overload).', 'too many requests at once'),
    about(
      '[Fair shares](operations.md#fair-shares), and `cause` in the audit line.',
      'too many requests to this upstream at once',
    ),
    about(
      'Look at the store in `introspection.cache.shared`, and at `proof.dpop.replays`.',
      'scopegate cannot check now whether the DPoP proof has been used before',
    ),
  ],
  upstream_unreachable: [
    about(
      "`services` says where the rule's service is. `cause` says what failed (`ECONNREFUSED`, `ENOTFOUND`, …).",
      'no connection to the upstream',
    ),
  ],
  upstream_invalid: [
    about(
      'Look at the workload. [`cause`](#cause) says what it sent.',
      'the upstream closed the connection early or sent an invalid response',
    ),
  ],
  upstream_timeout: [
    about('The limits are `timeout` of the rule and `forward.timeout`.', 'the upstream took too long'),
  ],
  loop_detected: [about('The upstream sends requests back to scopegate; see `forward.via`.')],
  internal: [about('Look for `request failed` in the log, and please report it.', 'the gateway failed')],
};

/**
 * The reference of the errors, docs/errors.md, made from the table of responses and the advice above.
 *
 * @returns the whole page in Markdown
 */
export function errorsPage(): string {
  const given = reasonsInCode();
  const names = (Object.keys(ERRORS) as ErrorName[]).sort((a, b) => ERRORS[a].code - ERRORS[b].code);
  const rows = names.map((name) => {
    const { code, status, oauth, close }: ErrorRow = ERRORS[name];
    const cells = [
      `${code} ${status}`,
      `[\`${name}\`](#${name})`,
      oauth === undefined ? '' : `\`${oauth}\``,
      close ? 'closed' : '',
    ];
    return `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |');
  });
  return `${[`${INTRODUCTION}\n${rows.join('\n')}`, CAUSE, '## Error by error', ...names.map((name) => section(name, given.get(name) ?? []))].join('\n\n')}\n`;
}

function section(name: ErrorName, given: readonly string[]): string {
  const { code, status, message } = ERRORS[name];
  const advice = ADVICE[name].map(({ reasons, look }) =>
    reasons.length === 0 ? `- ${look}` : `- ${reasons.map((reason) => `\`${reason}\``).join(', ')}: ${look}`,
  );
  const explained = new Set(ADVICE[name].flatMap(({ reasons }) => reasons));
  const others = given.filter((reason) => !explained.has(reason)).map((reason) => `\`${reason}\``);
  const more = others.length === 0 ? [] : [`- Other reasons: ${others.join('; ')}.`];
  return [`### ${name}`, '', `${code} ${status}: "${message}".`, '', ...advice, ...more].join('\n');
}

const INTRODUCTION = `# Errors

<!-- Made from src/model/errors.ts and test/docs/errors.ts by \`npm run docs\`; a test keeps the page and the code the same. -->

Every response of scopegate's own has one JSON body:

\`\`\`json
{"error":{"code":403,"status":"Forbidden","message":"The token lacks a scope that this resource requires","reason":"the token lacks a required scope"}}
\`\`\`

- \`message\` is always the same for one error. \`reason\` says what was wrong with this request.
- The [audit line](audit.md) has the \`reason\` too, the name of the \`error\`, and a [\`cause\`](#cause) where something broke.
- \`scopegate explain\` says which rule decides a request, and why the others do not. It asks the rules that serve.
- Responses 401, and some 400 and 403, carry a challenge in \`WWW-Authenticate\`. The third column is its error code
  (RFC 6750 §3.1, RFC 9449, RFC 9470).

| status | error | code in the challenge | connection |
|---|---|---|---|`;

const CAUSE = `## Cause

\`cause\` in the audit line says what broke. If it begins with \`answer_invalid\`, the workload sent an answer that two readers could read in
two ways. The words behind it name the part: \`answer_invalid: two Content-Length fields\`, \`answer_invalid: a head larger than
forward.maxResponseHeaderBytes\`. scopegate refuses such an answer as soon as it sees it. The causes of WebSockets are in
[operations](operations.md#websockets), \`queue_timeout\` and \`long_exchanges_full\` (503) in [fair shares](operations.md#fair-shares).

If scopegate cannot check a token, \`cause\` says why the call failed: the code of the system or of the connection (\`ECONNREFUSED\`), \`timeout\`,
\`breaker_open\`, \`queue_full\`, \`queue_timeout\`, \`not_ready\`, \`status_500\`, \`unusable_answer\`. What has no code of its own has the words
of the line \`introspection failed\`.`;
