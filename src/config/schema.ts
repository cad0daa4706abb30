import { CERTIFICATE_FIELDS } from '../auth/possession/certificate.js';
import { PROOF_ALGORITHMS } from '../auth/possession/dpop.js';
import { DURATION_PATTERN, POSITIVE_DURATION_PATTERN } from '../model/duration.js';

/**
 * The part of JSON Schema (draft-07) that the settings use. Every leaf says in `description` what it does and in
 * `default` what holds where it is absent; a leaf without a default is optional and off, or required by its section.
 */
export interface SettingSchema {
  readonly $schema?: string;
  readonly $id?: string;
  readonly title?: string;
  readonly description: string;
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: false | Omit<SettingSchema, 'description'>;
  readonly items?: Omit<SettingSchema, 'description'>;
  readonly minItems?: number;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** A mapping with these fields and no others. */
function section(
  description: string,
  properties: Readonly<Record<string, SettingSchema>>,
  required?: readonly string[],
): SettingSchema {
  return {
    description,
    type: 'object',
    additionalProperties: false,
    ...(required === undefined ? {} : { required }),
    properties,
  };
}

function text(description: string, fallback?: string): SettingSchema {
  return {
    description,
    type: 'string',
    minLength: 1,
    ...(fallback === undefined ? {} : { default: fallback }),
  };
}

function integer(description: string, fallback: number, minimum = 0, maximum = 2_147_483_647): SettingSchema {
  return { description, type: 'integer', minimum, maximum, default: fallback };
}

function share(description: string, fallback: number): SettingSchema {
  return { description, type: 'number', minimum: 0, maximum: 1, default: fallback };
}

function flag(description: string, fallback: boolean): SettingSchema {
  return { description, type: 'boolean', default: fallback };
}

function choice(description: string, values: readonly string[], fallback: string): SettingSchema {
  return { description, enum: values, default: fallback };
}

function duration(description: string, fallback: string): SettingSchema {
  return {
    description,
    title: 'a duration such as 500ms, 2s, 5m or 1h',
    type: 'string',
    pattern: DURATION_PATTERN,
    default: fallback,
  };
}

/** A limit: 0 would not mean "at once" but "without end" to a timer. */
function limit(description: string, fallback: string): SettingSchema {
  return {
    ...duration(description, fallback),
    title: 'a duration above zero such as 500ms, 2s, 5m or 1h',
    pattern: POSITIVE_DURATION_PATTERN,
  };
}

function map(description: string, fallback: Readonly<Record<string, string>>): SettingSchema {
  return { description, type: 'object', additionalProperties: { type: 'string' }, default: fallback };
}

function list(description: string, fallback?: readonly string[]): SettingSchema {
  return {
    description,
    type: 'array',
    items: { type: 'string', minLength: 1 },
    ...(fallback === undefined ? { minItems: 1 } : { default: fallback }),
  };
}

function listener(description: string, host: string, port: number): SettingSchema {
  return section(description, {
    host: text('Address to listen on: an IP address or a name of this host.', host),
    port: integer('TCP port to listen on; 0 takes any free one.', port, 0, 65_535),
    tls: section(
      'Serve TLS. Absent: plain HTTP.',
      {
        cert: text('PEM file of the certificate, followed by its intermediate certificates.'),
        key: text("PEM file of the certificate's private key."),
        ca: text('PEM file of further intermediate certificates to send.'),
        certificates: {
          description:
            'Further certificates, each with `cert`, `key` and, if wanted, `ca` as above and `serverNames`: a client gets the one for the name it asks for (SNI). The names are those in the certificate, or `serverNames`: exact, or *.suffix for one label.',
          type: 'array',
          default: [],
          items: {
            type: 'object',
            additionalProperties: false,
            required: ['cert', 'key'],
            properties: {
              cert: text('PEM file of the certificate, followed by its intermediate certificates.'),
              key: text("PEM file of the certificate's private key."),
              ca: text('PEM file of further intermediate certificates to send.'),
              serverNames: list('Names it is shown for, in place of those in the certificate.'),
            },
          },
        },
        clientCertificates: choice(
          'Whether clients show a certificate: none asks for none; optional takes one that clientCa vouches for, and refuses any other; required refuses clients without one; unverified takes any, which then stands for nothing but the key of a token that is bound to it (RFC 8705).',
          ['none', 'optional', 'required', 'unverified'],
          'none',
        ),
        clientCa: text('PEM file of the authorities that client certificates are verified by.'),
        minVersion: choice('Lowest TLS version accepted.', ['TLSv1.2', 'TLSv1.3'], 'TLSv1.2'),
        ciphers: text("Ciphers accepted, in OpenSSL's notation. Absent: those of Node."),
      },
      ['cert', 'key'],
    ),
  });
}

const serverTls = section('TLS to the authorization server, whose certificate is always verified.', {
  ca: text(
    'PEM file of the authorities to trust. Absent: those of Node, and in the image those of the system as well (docs/operations.md).',
  ),
  cert: text(
    'PEM file of the certificate that the gateway shows, followed by its intermediate certificates. This file and the others are read anew when they change.',
  ),
  key: text('PEM file of the private key of that certificate.'),
});

const clientAuth = section('How the gateway authenticates at the endpoint.', {
  method: choice(
    'none, basic (client_secret_basic), post (client_secret_post), private_key_jwt or client_secret_jwt (a signed assertion, RFC 7523), tls (the certificate of introspection.tls, RFC 8705), bearer (a fixed token) or pre_authorization (a token that the gateway gets for itself, as in Oathkeeper).',
    ['none', 'basic', 'post', 'private_key_jwt', 'client_secret_jwt', 'tls', 'bearer', 'pre_authorization'],
    'none',
  ),
  clientId: text('The client identifier.'),
  clientSecret: text('The client secret; prefer clientSecretFile.'),
  clientSecretFile: text('File that holds the client secret.'),
  keyFile: text(
    'File of the private key of private_key_jwt: PEM (not encrypted) or a JWK. It is read anew when it changes.',
  ),
  keyId: text('The kid of the assertions of private_key_jwt. Absent: that of the JWK, or none.'),
  algorithm: text(
    'The JWS algorithm of the assertions. Absent: that of the JWK, or the one that fits the key (RS256, ES256, ES384, ES512, EdDSA); HS256 with client_secret_jwt.',
  ),
  audience: text(
    'For the assertions, whom they are for: the issuer identifier of the authorization server, or what it wants instead, such as the URL of its token endpoint; absent: introspection.issuer. For pre_authorization, the audience that is asked for.',
  ),
  token: text('The token of the method bearer; prefer tokenFile.'),
  tokenFile: text('File that holds the token of the method bearer.'),
  tokenUrl: text('The token endpoint of pre_authorization.'),
  scope: list('The scopes that pre_authorization asks for.', []),
});

const signed = section('Signed answers (RFC 9701): asked for and required. They need introspection.issuer.', {
  required: flag('Take only answers that the authorization server has signed.', false),
  jwksUrl: text(
    'The JWK Set with the keys of the authorization server. Absent: the one that its metadata names.',
  ),
  audience: text('The aud of the answers. Absent: introspection.clientAuth.clientId.'),
  decryptionKeyFile: text(
    'File of the private key that answers are encrypted for: PEM (not encrypted), a JWK, or a JWK Set while keys are rotated. Read anew when it changes. Absent: answers are not encrypted; present: they must be.',
  ),
  algorithms: list('The JWS algorithms that are taken.', [
    'RS256',
    'RS384',
    'RS512',
    'PS256',
    'PS384',
    'PS512',
    'ES256',
    'ES384',
    'ES512',
    'EdDSA',
    'Ed25519',
  ]),
});

/** One of `introspection.servers`. */
export const serverSchema = section('An authorization server.', {
  url: text('An introspection endpoint of it. Absent: the one that the metadata of the issuer names.'),
  issuer: text('Its issuer identifier, by which its metadata is found.'),
  headers: map('Header fields sent with every introspection.', {}),
  tls: serverTls,
  clientAuth,
  signed,
});

/** The settings file: drives validation, environment variables, `scopegate schema` and the reference in the docs. */
export const settingsSchema: SettingSchema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  $id: 'urn:scopegate:settings',
  title: 'scopegate settings',
  ...section(
    'The settings file of scopegate. Paths are relative to its folder.',
    {
      listen: section('Where the gateway listens.', {
        proxy: listener('The port for the traffic to guard.', '0.0.0.0', 4455),
        admin: listener('The port for health, metrics, rules and decisions.', '127.0.0.1', 4456),
      }),
      rules: list('APIRule files, or folders of them (*.yaml, *.yml, *.json).'),
      services: map(
        'Where the service of an APIRule lives: an http or https origin by `name.namespace`, by `name`, or `default`. {name}, {namespace} and {port} stand for the fields of the service.',
        { default: 'http://{name}:{port}' },
      ),
      domain: text(
        'Domain appended to an APIRule host that has no dot. Absent: such a host is kept as it is.',
      ),
      realm: text('The realm of WWW-Authenticate challenges (RFC 9110 section 11.5).', 'scopegate'),
      trustedProxies: list(
        'Networks (CIDR) of proxies in front whose Forwarded, X-Forwarded-* and X-Request-Id are believed.',
        [],
      ),
      resources: {
        description:
          'Protected resources whose metadata is published without a token (RFC 9728), and named in challenges. Each has a `resource` (its identifier, an https URL), `authorizationServers` (issuer identifiers), and if wanted `name`, `documentation`, `policy` and `terms`; see docs/resources.md.',
        type: 'array',
        default: [],
        items: {
          type: 'object',
          additionalProperties: false,
          required: ['resource', 'authorizationServers'],
          properties: {
            resource: text('The resource identifier (RFC 9728 section 1.2).'),
            authorizationServers: list('Issuer identifiers of the authorization servers.'),
            name: text('What people call it.'),
            documentation: text('URL of a page for developers.'),
            policy: text('URL of a page about what may be done with the data.'),
            terms: text('URL of the terms of service.'),
          },
        },
      },
      introspection: section('The token introspection of the authorization server (RFC 7662).', {
        url: text(
          'The introspection endpoint; redirects are not followed. Absent: the one that the metadata of introspection.issuer names.',
        ),
        issuer: text(
          'The issuer identifier of the authorization server, by which its metadata is found (RFC 8414, OpenID Connect Discovery).',
        ),
        scopeStrategy: choice(
          'How a required scope is compared with a granted one, where a rule does not say.',
          ['exact', 'hierarchic', 'wildcard'],
          'exact',
        ),
        timeout: limit('Longest time for one introspection, retries included.', '2s'),
        connectTimeout: limit('Longest time to open a connection.', '1s'),
        maxResponseBytes: integer('Largest answer read.', 262_144, 1),
        concurrency: integer('Most introspections in flight at once.', 128, 1),
        queue: integer('Most introspections waiting for their turn; one more is refused with 503.', 1024),
        retries: integer('Most retries after a connection error, within the timeout.', 1, 0, 10),
        leeway: duration('Clock skew tolerated on exp, nbf and iat.', '0s'),
        headers: map('Header fields sent with every introspection.', {}),
        requireContentType: flag('Refuse an answer whose Content-Type is not application/json.', true),
        tls: serverTls,
        clientAuth,
        servers: {
          description:
            'Further authorization servers, which rules choose by introspection_url. Each has a `url` or an `issuer`, and `headers`, `tls`, `clientAuth` and `signed` of its own, as introspection itself; a server that is not among them gets no credentials.',
          type: 'array',
          default: [],
          items: serverSchema,
        },
        cache: section('The cache of introspection answers.', {
          enabled: flag('Keep answers.', true),
          ttl: duration(
            'Longest life of an active answer; the exp of the token ends it sooner. 0 keeps none.',
            '60s',
          ),
          negativeTtl: duration('Life of an inactive answer. 0 keeps none.', '5s'),
          refreshBefore: duration(
            'How long before the end of its life an active answer is asked for again in the background, if it is in use. Shorter than ttl; 0s for never.',
            '0s',
          ),
          maxEntries: integer('Most active answers kept.', 100_000, 1),
          maxBytes: integer(
            'About how much memory active answers may take together, in bytes; 0 is no limit. An answer that is larger is not kept.',
            134_217_728,
            0,
          ),
          negativeMaxEntries: integer('Most inactive answers kept, apart from the active ones.', 10_000, 1),
          shared: section(
            'A second tier that several gateways share. Absent: none.',
            {
              url: text(
                'Address of the store, one server of Redis or Valkey: redis://host:port/database, or rediss:// for TLS. This, cluster or sentinel is required.',
              ),
              cluster: section(
                'The store is a cluster.',
                {
                  nodes: list(
                    'Addresses of some nodes, by which the others are found: redis://host:port, or rediss:// for TLS to all of them.',
                  ),
                },
                ['nodes'],
              ),
              sentinel: section(
                'The store is a master that sentinels name, and another one when they say so.',
                {
                  nodes: list(
                    'Addresses of the sentinels: redis://host:26379, or rediss:// for TLS to them and to the store.',
                  ),
                  master: text('What the sentinels call the master.'),
                  database: integer('Number of the database.', 0),
                  username: text('The user at the sentinels.'),
                  passwordFile: text(
                    'File of the password at the sentinels; they get none of the credentials of the store.',
                  ),
                },
                ['nodes', 'master'],
              ),
              keyFile: text(
                'File of the key by which answers are encrypted there (AES-256-GCM): 32 bytes in base64 or hexadecimal digits. All gateways need the same. Read anew when it changes.',
              ),
              previousKeyFile: text('File of a key that is still good for reading.'),
              username: text('The user there.'),
              passwordFile: text('File of the password there.'),
              ca: text(
                'PEM file of the authorities to trust, for rediss. Absent: as for introspection.tls.ca.',
              ),
              prefix: text('What all names there begin with.', 'scopegate'),
              timeout: limit(
                'Longest time that a request waits for the store before the authorization server is asked.',
                '50ms',
              ),
            },
            ['keyFile'],
          ),
        }),
        signed,
        flood: section(
          'What one client may ask about: tokens that turn out to be none. Clients are told apart by address, of IPv6 by network of 64 bits; a proxy in front must be among trustedProxies, for else all its clients are one.',
          {
            badTokens: integer(
              'Most tokens of one client, within the time, that are not active; one more that is not in the cache is answered 429 with Retry-After. 0 for no limit.',
              0,
            ),
            per: limit('That time.', '1m'),
            maxClients: integer('Most clients remembered.', 10_000, 1),
          },
        ),
        breaker: section('Stops asking an authorization server that fails.', {
          failures: integer('Consecutive failures that open the breaker; 0 turns it off.', 5),
          openFor: limit('Time before an open breaker lets one introspection through.', '5s'),
        }),
      }),
      proof: section('How clients prove that they have the key a token is bound to (`cnf`).', {
        dpop: section('DPoP (RFC 9449).', {
          enabled: flag(
            'Take tokens with the scheme DPoP, and verify their proofs. Off: a token that is bound in this way is refused.',
            false,
          ),
          algorithms: list('Signature algorithms of proofs.', PROOF_ALGORITHMS),
          maxAge: limit('How old a proof may be.', '60s'),
          leeway: duration('How far the clock of a client may be ahead.', '5s'),
          maxProofs: integer(
            'Most proofs remembered, so that none is used twice; when they are that many, requests get 503.',
            100_000,
            1,
          ),
          maxProofsPerKey: integer('Most proofs remembered of one key; one more is refused.', 10_000, 1),
          replays: choice(
            'What a proof must not have been used at. shared: any gateway with the store of introspection.cache.shared, where there is one; while it does not answer, this gateway. required: the same, but while the store does not answer, requests get 503. own: this gateway.',
            ['shared', 'required', 'own'],
            'shared',
          ),
          nonce: section('Nonces of the gateway, which proofs must then hold (RFC 9449 section 9).', {
            required: flag('Refuse proofs without one.', false),
            lifetime: limit('How long a nonce is the newest; the one before it is taken as well.', '5m'),
            secretFile: text(
              'File with a secret of 32 bytes at least that gateways share which serve the same clients. Absent: one of its own, made at start.',
            ),
          }),
        }),
        certificateField: choice(
          'Where a TLS terminator in trustedProxies passes the certificate of its client, for tokens that are bound to one (RFC 8705): client-cert (RFC 9440), x-forwarded-client-cert (Envoy, Istio), x-forwarded-tls-client-cert (Traefik), x-ssl-client-cert (nginx, escaped PEM). none: only what the client of a connection has shown itself.',
          ['none', ...CERTIFICATE_FIELDS],
          'none',
        ),
      }),
      matching: section('How a request finds its rule.', {
        overlap: choice(
          'error: two rules that match one request are refused. specific: a rule whose paths are proved to lie inside those of another one wins there.',
          ['error', 'specific'],
          'error',
        ),
      }),
      forward: section('How requests are forwarded.', {
        timeout: limit(
          'Longest wait for the answer of an upstream to begin, where neither rule nor APIRule says.',
          '180s',
        ),
        connectTimeout: limit('Longest time to open a connection to an upstream.', '5s'),
        idleTimeout: limit('Longest time without a byte of a body, either way.', '60s'),
        maxBodyBytes: integer('Largest request body; 0 for no limit.', 0, 0, Number.MAX_SAFE_INTEGER),
        maxHeaderBytes: integer('Largest header section of a request.', 16_384, 1024, 1_048_576),
        maxResponseHeaderBytes: integer(
          'Largest head of an answer of an upstream; a larger one is answered 502.',
          65_536,
          1024,
          1_048_576,
        ),
        maxTargetBytes: integer('Longest request target.', 8192, 64, 1_048_576),
        host: choice(
          'Host that the upstream gets: its own (upstream) or that of the request (preserve).',
          ['upstream', 'preserve'],
          'upstream',
        ),
        webSockets: flag('Forward WebSocket upgrades.', true),
        webSocketMaxAge: limit('Longest life of a WebSocket connection.', '1h'),
        via: text(
          'The name of the gateway in Via (RFC 9110 section 7.6.3), by which it knows a loop.',
          'scopegate',
        ),
        connections: integer(
          'Most connections to one upstream for requests that are soon over. One more waits for up to forward.queueTimeout.',
          256,
          1,
        ),
        queueTimeout: limit(
          'Longest wait for a connection to an upstream while all are busy; then the answer is 503 with Retry-After.',
          '2s',
        ),
        longExchanges: integer(
          'Most exchanges with one upstream that last, beside forward.connections: uploads larger than forward.requestBuffer, event streams, answers that go on, WebSockets.',
          1024,
          1,
        ),
        requestBuffer: integer(
          'How much of a request body is read before the request takes a connection to its upstream, in bytes. A body that is whole by then goes on as a short request.',
          65_536,
          1024,
          16_777_216,
        ),
        identityFields: section(
          'Request fields that upstreams take for a statement of the gateway: who the user is, where the request came from. No copy of a client reaches an upstream.',
          {
            remove: list(
              'Fields that are removed besides those of docs/identity-fields.md: names, or beginnings of names followed by *, such as X-Acme-*.',
              [],
            ),
            keep: list(
              'Fields that pass all the same, as they came and from whoever sends them; written as in remove. Of entries of both lists that hold a name, the most specific decides. Only for fields that the proxy in front overwrites, or that the upstream does not believe.',
              [],
            ),
          },
        ),
        tls: section('TLS to upstreams. Files are read anew when they change.', {
          ca: text(
            'PEM file of the authorities to trust. Absent: those of Node, and in the image those of the system as well (docs/operations.md).',
          ),
          cert: text('PEM file of the client certificate that upstreams are shown.'),
          key: text('PEM file of its private key.'),
          upstreams: {
            description:
              'What holds for one upstream in place of that: each has an `origin` (https://name:port), and of `ca`, `cert` with `key`, and `insecureSkipVerify` what differs.',
            type: 'array',
            default: [],
            items: {
              type: 'object',
              additionalProperties: false,
              required: ['origin'],
              properties: {
                origin: text('Origin of the upstream, https://name:port.'),
                ca: text('PEM file of the authorities to trust.'),
                cert: text('PEM file of the client certificate that it is shown.'),
                key: text('PEM file of its private key.'),
                insecureSkipVerify: {
                  description: 'Do not verify its certificate. Insecure.',
                  type: 'boolean',
                },
              },
            },
          },
          insecureSkipVerify: flag('Do not verify the certificates of upstreams. Insecure.', false),
        }),
      }),
      decisions: section(
        'Forward-auth: what proxies ask at the admin port, whether to let a request through. Only the peers of trustedProxies are answered; where it is empty, those of the loopback interface.',
        {
          prefix: text('The path of the questions.', '/decisions'),
          describedBy: choice(
            'How a question describes its request. forwarded: X-Forwarded-Method, X-Forwarded-Host and X-Forwarded-Uri (Traefik, Caddy). original: X-Original-Method with X-Original-URL, or with X-Original-URI and a host (nginx). request: by its own method and Host, and the path behind the prefix (Envoy, Istio). any: by one of these ways, and with 400 where it is more than one.',
            ['any', 'forwarded', 'original', 'request'],
            'any',
          ),
          identity: map(
            'Header fields of the answer 200 that tell the proxy whom the request acts for, by the claim they hold: sub, scope, client_id, or any other of the token.',
            { 'X-User': 'sub', 'X-Scope': 'scope', 'X-Client-Id': 'client_id' },
          ),
        },
      ),
      admin: section('Who may see and do what at the admin port.', {
        hosts: list(
          'Host names, besides IP addresses and localhost, under which the page, the rules and the purge of the cache are reached: other names are refused, for a page of another site must not read them through a browser.',
          [],
        ),
        tokenFile: text(
          'File that holds the bearer token for POST /cache/purge. Absent: only peers of the loopback interface may purge.',
        ),
      }),
      server: section('Limits on clients.', {
        headersTimeout: limit('Longest time for the header section of a request to arrive.', '10s'),
        keepAliveTimeout: limit('Longest time an idle connection stays open.', '65s'),
        bodyIdleTimeout: limit('Longest time without a byte of a request body.', '30s'),
        minBodyRate: integer(
          'Least rate of a request body on average, in bytes a second, after 5 s; a slower one is answered 408. 0 for any.',
          240,
        ),
        pipelining: integer(
          'Most requests of one HTTP/1.1 connection at work at once. What a client sends before they are answered waits.',
          1,
          1,
          1024,
        ),
        maxConnections: integer('Most connections at once; 0 for no limit.', 0),
        maxInFlight: integer(
          'Most requests in flight at once, forward-auth included; one more is answered 503 with Retry-After. Those whose body is still being read and those that last (forward.longExchanges) do not count. 0 for no limit.',
          4096,
        ),
        maxEventLoopDelay: duration(
          'How late the event loop may be on average: where it stays later, a falling share of requests is let in and the others are answered 503 with Retry-After. 0s for any.',
          '200ms',
        ),
        maxStreams: integer(
          'Most requests at once on one HTTP/2 connection, which clients may choose over TLS; 0 offers HTTP/1.1 alone.',
          100,
          0,
          10_000,
        ),
        drainTimeout: duration('Longest time for requests in flight to end at shutdown.', '30s'),
      }),
      tracing: section(
        'Distributed tracing (OpenTelemetry over OTLP/HTTP). Off without an endpoint: traceparent and tracestate then pass through as they came.',
        {
          endpoint: text(
            'The URL that spans are posted to, http://collector:4318/v1/traces. Absent: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or OTEL_EXPORTER_OTLP_ENDPOINT with /v1/traces behind it; off without these.',
          ),
          sample: share('Share of the traces that begin here and are recorded.', 1),
          serviceName: text('The service.name of the spans. Absent: OTEL_SERVICE_NAME, or scopegate.'),
        },
      ),
      reload: section(
        'Rules are loaded again when their files change, all or nothing; SIGHUP does it at once.',
        {
          watch: flag('Notice changes of rule files.', true),
          poll: duration(
            'How often contents are compared where the file system tells nothing; 0s for never.',
            '30s',
          ),
        },
      ),
      log: section('The log on standard output.', {
        level: choice('Least level written.', ['trace', 'debug', 'info', 'warn', 'error', 'fatal'], 'info'),
        audit: flag('Write one line for every decision.', true),
        sampleAllowed: share(
          'Share of the allowed requests without trouble that get a line. All others always do.',
          1,
        ),
        pretty: flag('Write lines for people instead of JSON.', false),
      }),
    },
    ['rules', 'introspection'],
  ),
};

/** One leaf of the settings: a value that one environment variable can set. */
export interface Leaf {
  readonly path: readonly string[];
  readonly schema: SettingSchema;
}

/** The leaves in the schema's order; maps and lists are leaves as a whole. */
export function leaves(schema: SettingSchema = settingsSchema, path: readonly string[] = []): Leaf[] {
  if (schema.properties === undefined) return [{ path, schema }];
  return Object.entries(schema.properties).flatMap(([key, child]) => leaves(child, [...path, key]));
}
