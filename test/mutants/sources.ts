/** How a source file is tried. */
export interface Source {
  /** Its name, below `src/`. */
  readonly file: string;
  /** How many of its mutants are picked at the most. */
  readonly share: number;
  /** Test files that should notice them, below `test/`, without their ending. */
  readonly tests: readonly string[];
}

/**
 * The files whose mutants are tried: the code that keeps clients from each other's data. In each line that is not indented: a
 * file below `src/`, and how many of its mutants are picked. Indented: the test files that should notice them, the quickest
 * and nearest first.
 */
const TABLE = `
auth/decide.ts 16
  auth/decide auth/decide-targets auth/authorizers/authorizers auth/error-handlers/error-handlers
  observe/would-deny parse/target auth/mutators/mutators auth/mutators/mutators-of-others
  auth/strategies/credentials auth/strategies/sources conformance/rfc9728 conformance/rfc9449
  conformance/dpop-elsewhere
  admin/decisions proxy/pitfalls
auth/strategies/scope.ts all
  auth/strategies/scope
auth/strategies/oauth2-introspection.ts 14
  auth/strategies/oauth2-introspection auth/strategies/token-places auth/introspection/decision
  auth/strategies/sources
  conformance/rfc7662 conformance/rfc7662-cache conformance/rfc6750
  auth/introspection/client-auth auth/introspection/pre-authorization
  conformance/rfc9449 conformance/dpop-elsewhere
  auth/introspection/rate-limit auth/introspection/provider auth/introspection/faults
  auth/introspection/broken-connections auth/introspection/clocks-and-outages
auth/strategies/second-credential.ts 5
  auth/strategies/second auth/decide auth/decide-targets auth/strategies/credentials auth/strategies/sources
auth/strategies/bearer-token.ts 3
  auth/strategies/sessions
auth/strategies/claim-requirements.ts 4
  auth/strategies/claim-requirements conformance/rfc9470 commands/explain
auth/strategies/token-binding.ts 6
  auth/strategies/token-binding conformance/rfc8705 conformance/rfc9449 conformance/dpop-elsewhere
  auth/strategies/jwt auth/strategies/jwt-tokens
  auth/introspection/provider
auth/strategies/jwt.ts 5
  auth/strategies/jwt auth/strategies/jwt-tokens auth/strategies/claim-requirements conformance/rfc9449
  conformance/dpop-elsewhere
auth/strategies/session-check.ts 3
  auth/strategies/sessions
auth/strategies/oauth2-client-credentials.ts 3
  auth/strategies/client-credentials
auth/strategies/anonymous.ts all
  auth/decide auth/decide-targets auth/strategies/handlers
auth/strategies/allow-all.ts all
  auth/decide auth/decide-targets auth/strategies/handlers
auth/mutators/envoy-format.ts 24
  auth/mutators/envoy-format auth/mutators/client-certificates
auth/mutators/certificate-names.ts 12
  auth/mutators/envoy-format
auth/mutators/client-connection.ts 8
  auth/mutators/envoy-format
auth/introspection/cache.ts 20
  auth/introspection/cache auth/introspection/introspector auth/introspection/refresh
  auth/introspection/introspection-limits auth/introspection/revocation
auth/introspection/cache-keys.ts 16
  auth/introspection/cache-keys
auth/introspection/unreadable-messages.ts all
  auth/introspection/unreadable-messages
auth/introspection/token-identity.ts 8
  auth/introspection/cache-keys
auth/introspection/introspector.ts 6
  auth/introspection/introspector auth/introspection/refresh auth/introspection/introspection-limits
  auth/introspection/spellings auth/introspection/rate-limit
  auth/introspection/revocation auth/introspection/faults auth/introspection/broken-connections
  auth/introspection/clocks-and-outages auth/introspection/shared-cache auth/introspection/store-trouble
auth/introspection/circuit-breaker.ts 24
  auth/introspection/circuit-breaker auth/introspection/introspector auth/introspection/refresh
  auth/introspection/introspection-limits
auth/introspection/answer.ts 15
  auth/introspection/answer auth/introspection/decision conformance/rfc7662 conformance/rfc7662-cache
auth/introspection/requirements.ts 30
  auth/introspection/requirements auth/introspection/decision conformance/rfc7662 conformance/rfc7662-cache
  auth/introspection/provider conformance/rfc9449 conformance/dpop-elsewhere
auth/introspection/semaphore.ts 8
  auth/introspection/semaphore auth/introspection/introspector auth/introspection/refresh
  auth/introspection/introspection-limits
auth/introspection/rate-limit.ts 10
  auth/introspection/rate-limit auth/introspection/introspector auth/introspection/refresh
  auth/introspection/introspection-limits
auth/introspection/invalidation.ts 3
  auth/introspection/revocation auth/introspection/shared-cache auth/introspection/store-trouble admin/server admin/purge
auth/possession/dpop.ts 11
  conformance/rfc9449 conformance/dpop-elsewhere auth/introspection/shared-cache auth/introspection/store-trouble
auth/possession/replay.ts 5
  auth/possession/replay conformance/rfc9449 conformance/dpop-elsewhere
auth/possession/nonce.ts 4
  auth/possession/nonce conformance/rfc9449 conformance/dpop-elsewhere
auth/possession/request-uri.ts 5
  conformance/rfc9449 conformance/dpop-elsewhere
auth/possession/certificate.ts 3
  conformance/rfc8705 tls/listener auth/mutators/client-certificates
parse/target.ts 35
  parse/target fuzz/models admin/decisions proxy/pitfalls
parse/fields.ts 34
  parse/fields parse/form parse/parsed-request listener/raw-requests conformance/rfc6750
  auth/strategies/sources proxy/headers
  listener/http2 proxy/pitfalls
parse/token.ts 7
  parse/token auth/decide auth/decide-targets auth/strategies/second auth/strategies/credentials
  auth/strategies/sources
  conformance/rfc6750 auth/strategies/oauth2-introspection auth/strategies/token-places
  auth/strategies/sessions
parse/cookies.ts 10
  parse/parameter auth/strategies/credentials auth/strategies/sources proxy/identity-headers
  proxy/advisories
parse/parameter.ts 10
  parse/parameter auth/strategies/credentials auth/strategies/sources
parse/forwarded-scheme.ts 8
  proxy/forwarded-scheme proxy/headers
parse/host.ts 19
  parse/host parse/target fuzz/models listener/raw-requests listener/siblings
parse/form.ts 10
  parse/form auth/strategies/sources conformance/rfc6750
parse/peer.ts 8
  parse/client-address proxy/headers tls/listener conformance/rfc8705 admin/decisions
parse/client-address.ts 6
  parse/client-address auth/introspection/rate-limit
parse/parsed-request.ts 5
  parse/parsed-request listener/raw-requests listener/raw-upgrades listener/http2 listener/http2-broken
  proxy/pitfalls auth/strategies/sources
parse/field-names.ts 10
  parse/field-names parse/fields proxy/fields
parse/confusables.ts all
  parse/look-alikes
parse/lenient-name.ts all
  parse/look-alikes
forward-auth/described-request.ts 30
  forward-auth/described-request admin/decisions
forward-auth/user-headers.ts 8
  forward-auth/described-request
admin/access.ts 20
  admin/access
rules/table/matcher.ts 8
  rules/table/table rules/table/hosts rules/table/laws
rules/table/hosts.ts 12
  rules/table/hosts rules/table/table rules/table/laws
rules/table/tree.ts 12
  rules/table/table rules/table/laws rules/table/hosts
rules/table/overlaps.ts 12
  rules/table/table rules/table/laws rules/load
  rules/off-thread
rules/pattern/relation.ts 12
  rules/pattern/relation rules/table/table rules/table/laws
rules/pattern/automaton.ts 8
  rules/pattern/relation rules/table/table rules/pattern/pattern
rules/pattern/pattern.ts 8
  rules/pattern/dialect rules/pattern/pattern rules/pattern/attack rules/table/table rules/pattern/backtracking rules/load commands/mistakes
rules/pattern/anchors.ts 8
  rules/pattern/dialect rules/pattern/relation rules/pattern/pattern rules/table/table
rules/pattern/canonical.ts 6
  rules/pattern/canonical rules/table/table
rules/pattern/attack.ts 10
  rules/pattern/shown-attack
listener/preflight.ts all
  rules/apirule/cors rules/apirule/v2
listener/pipelining.ts 12
  listener/pipelining listener/raw-pipelined listener/raw-requests proxy/shares listener/upgrade listener/drain
proxy/upstream/connection.ts 20
  proxy/upstream/connection proxy/upstream/uploads proxy/upstream/answers proxy/upstream/reuse proxy/refused-answers proxy/bodies
  proxy/interim proxy/shares
  proxy/faults proxy/interim-answers proxy/held-up
proxy/upstream/pool.ts 10
  proxy/upstream/pool proxy/upstream/answers proxy/upstream/reuse proxy/shares proxy/faults observe/metrics proxy/long-lived
proxy/upstream/queue.ts 14
  proxy/upstream/queue proxy/upstream/answers proxy/upstream/reuse proxy/shares
proxy/upstream/deadline.ts 12
  proxy/upstream/deadline proxy/upstream/connection proxy/upstream/uploads proxy/upstream/answers proxy/upstream/reuse proxy/held-up
  proxy/shares
proxy/upstream/request-head.ts 15
  proxy/upstream/responses proxy/upstream/connection proxy/upstream/uploads proxy/upstream/answers proxy/upstream/reuse proxy/bodies
  proxy/interim proxy/headers
proxy/upstream/response-head.ts 35
  proxy/upstream/responses proxy/upstream/connection proxy/upstream/uploads proxy/upstream/answers proxy/upstream/reuse
  proxy/refused-answers
  proxy/faults proxy/conformance proxy/shares
proxy/upstream/response-body.ts 35
  proxy/upstream/responses proxy/upstream/connection proxy/upstream/uploads proxy/upstream/answers proxy/upstream/reuse
  proxy/refused-answers
  proxy/faults proxy/bodies proxy/interim
proxy/exchange.ts 12
  proxy/refused-answers proxy/headers proxy/interim-answers proxy/interim proxy/faults proxy/bodies
  listener/http2-broken proxy/held-up proxy/hostile proxy/shares proxy/long-lived
proxy/early-hints.ts all
  proxy/interim proxy/interim-answers
proxy/request-body.ts 14
  proxy/request-body proxy/bodies proxy/interim proxy/shares proxy/held-up listener/http2-broken proxy/mingled
proxy/buffered-bodies.ts 6
  proxy/request-body proxy/shares observe/metrics
proxy/response-headers.ts 14
  proxy/fields proxy/headers proxy/pitfalls proxy/conformance listener/http2 proxy/hostile
proxy/request-headers.ts 14
  proxy/fields proxy/headers proxy/advisories proxy/pitfalls listener/siblings auth/mutators/mutators
  auth/mutators/mutators-of-others
proxy/identity-headers.ts 10
  proxy/fields proxy/identity-headers proxy/headers auth/mutators/mutators auth/mutators/mutators-of-others
  proxy/advisories
app/reread-files.ts 10
  app/reread-files
config/client-tls.ts all
  config/client-tls
commands/convert/services.ts 10
  commands/convert/services
`;

/** The files whose mutants are tried, and how. */
export const SOURCES: readonly Source[] = TABLE.trim()
  .split(/\n(?! )/)
  .map((entry) => {
    const [file = '', share = '', ...tests] = entry.split(/\s+/);
    return { file, share: share === 'all' ? Number.POSITIVE_INFINITY : Number(share), tests };
  });
