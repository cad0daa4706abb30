import { TOKEN } from '../../parse/grammar.js';
import { choice, map, text } from '../kinds.js';
import type { Place } from '../place.js';
import { section } from '../setting.js';

/** `decisions`: forward-auth, that is, how proxies ask the admin port for decisions. */
export const decisions = section(
  'Forward-auth: proxies ask the admin port whether to let a request through. scopegate answers only peers in trustedProxies; if that is empty, only peers on the loopback interface.',
  {
    prefix: text('The path that proxies call.', '/decisions').check(checkPrefix),
    describedBy: choice(
      'How a proxy describes the request for which it needs a decision. forwarded: X-Forwarded-Method, X-Forwarded-Host and X-Forwarded-Uri (Traefik, Caddy). original: X-Original-Method with X-Original-URL, or with X-Original-URI and a host (nginx). request: by its own method and Host, and the path behind the prefix (Envoy, Istio). any: in one of these ways; a call that uses more than one gets 400.',
      ['any', 'forwarded', 'original', 'request'],
      'any',
    ),
    identity: map(
      'Header fields of the answer 200 that tell the proxy who sends the request: name → claim of the token, such as sub, scope or client_id.',
      { 'X-User': 'sub', 'X-Scope': 'scope', 'X-Client-Id': 'client_id' },
    ).check(checkIdentity),
  },
);

/** The paths at which the admin port itself answers. */
const ADMIN_PATHS = [
  '/health',
  '/metrics',
  '/rules',
  '/status',
  '/series',
  '/settings',
  '/explain',
  '/cache',
  '/version',
] as const;

function checkPrefix(prefix: string, place: Place): void {
  if (!/^(?:\/[A-Za-z0-9._~-]+)+$/.test(prefix) || /\/\.\.?(?:\/|$)/.test(prefix)) {
    place.problem('must be a path such as /decisions');
  } else if (ADMIN_PATHS.some((path) => `${prefix}/`.startsWith(`${path}/`))) {
    place.problem(`must leave ${ADMIN_PATHS.join(', ')} to the admin port`);
  }
}

/**
 * Fields that the identity must not be sent in. They either frame the forward-auth response, or would tell
 * the proxy something that scopegate does not mean.
 */
const ANSWER_FIELDS: ReadonlySet<string> = new Set([
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'location',
  'proxy-authenticate',
  'retry-after',
  'set-cookie',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
]);

function checkIdentity(identity: Readonly<Record<string, string>>, place: Place): void {
  const seen = new Set<string>();
  for (const name of Object.keys(identity)) {
    const lower = name.toLowerCase();
    const problem =
      !TOKEN.test(lower) || lower.includes('_')
        ? 'is not a valid header field name, or contains an underscore, which many servers drop'
        : ANSWER_FIELDS.has(lower)
          ? 'already has a meaning in HTTP or for scopegate; choose another name'
          : seen.has(lower)
            ? 'is given twice'
            : undefined;
    if (problem !== undefined) place.at(name).problem(problem);
    seen.add(lower);
  }
}
