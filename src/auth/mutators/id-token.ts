import { hash, randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import { ConfigError } from '../../document/finding.js';
import { oathkeeperDurationSchema, oathkeeperDurationSeconds } from '../../model/duration.js';
import type { JsonObject } from '../../model/json.js';
import type { Mutator, MutatorServices, PublicKey, Session } from '../../model/mutator.js';
import type { StrategyWarning } from '../../model/strategy.js';
import { type ClaimsTemplate, parseClaims, renderClaims } from './claims.js';
import type { MutatorKind } from './mutator.js';
import { KeyError, readSigningKey, type SigningKey, temporarySigningKey } from './signing.js';
import { TemplateError } from './template.js';

/** The memory that the cached tokens of all such mutators may take, in bytes: some ten thousand of the usual size. */
const BYTES = 16_777_216;
/** Memory of a cached token without its text. */
const ENTRY = 600;
/** Longer cache keys are replaced by their digest. */
const MAX_KEY = 200;
/**
 * The share of its lifetime for which a token is reused. After that, too little time would be left for the
 * upstream to use it.
 */
const REUSE = 0.5;
/** The issuer of tokens that are signed with the temporary key if the rule names none. */
const TEMPORARY_ISSUER = 'scopegate';

interface Config {
  readonly issuer_url?: string;
  readonly jwks_url?: string;
  readonly ttl?: string;
  readonly claims?: string;
}

/**
 * Oathkeeper's `id_token` mutator: replaces the client's Authorization field with a JWT about the subject. It
 * is signed with the key that the rule names, else with one that lives as long as the process; the upstream verifies it with the public keys that the admin listener
 * publishes.
 */
export const idToken: MutatorKind = {
  name: 'id_token',
  schema: {
    type: 'object',
    additionalProperties: false,
    properties: {
      issuer_url: { type: 'string', minLength: 1 },
      jwks_url: {
        type: 'string',
        title: 'a file URL with an absolute path (a private key must not come over the network)',
        pattern: '^file:///[^?#]+$',
      },
      ttl: oathkeeperDurationSchema,
      claims: { type: 'string' },
    },
  },
  compile(config) {
    const { issuer_url, jwks_url, ttl = '15m', claims = '{}' } = config as unknown as Config;
    const seconds = Math.floor(oathkeeperDurationSeconds(ttl));
    if (seconds < 1) throw new ConfigError(['ttl'], 'must be at least one second');
    if (jwks_url !== undefined && issuer_url === undefined) {
      throw new ConfigError(
        [],
        'must have the field "issuer_url" next to jwks_url; or remove jwks_url and set kyma.idToken, which is for all rules without these fields',
      );
    }
    return new IdToken(
      issuer_url ?? TEMPORARY_ISSUER,
      jwks_url === undefined ? temporarySigningKey() : attempt(['jwks_url'], () => readSigningKey(jwks_url)),
      seconds,
      attempt(['claims'], () => parseClaims(claims.trim() === '' ? '{}' : claims)),
    );
  },
  warnings: ({ issuer_url: issuer, jwks_url: url }) =>
    url === undefined ? [temporaryKeyWarning(issuer as string | undefined)] : [],
};

/** Warns that the tokens of a rule are signed with the key of this process. */
function temporaryKeyWarning(issuer: string | undefined): StrategyWarning {
  const message =
    `tokens are signed with a key that scopegate makes when it starts${issuer === undefined ? `, as the issuer "${TEMPORARY_ISSUER}"` : ''}: ` +
    'the key is lost when the process ends, and each replica has another key, so an upstream that reads the keys of one replica rejects the tokens of another. ' +
    'To keep the key, set kyma.idToken with issuerUrl and jwksUrl (a file with a JWK Set)';
  return { path: [], code: 'temporary-signing-key', message };
}

function attempt<T>(path: string[], read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof KeyError || error instanceof TemplateError)) throw error;
    throw new ConfigError(path, error.message);
  }
}

/** The cached tokens of all such mutators; they share one limit of memory. */
const tokens = new LRUCache<string, { token: Promise<string> | string; until: number }>({
  maxSize: BYTES,
});
/** The number of mutators so far: each has tokens of its own. */
let made = 0;

class IdToken implements Mutator {
  readonly headers = ['Authorization'];
  readonly cookies = [];
  readonly keys: readonly PublicKey[];
  readonly #issuer: string;
  readonly #key: SigningKey;
  readonly #ttl: number;
  readonly #claims: ClaimsTemplate;
  readonly #number = ++made;

  /** @param ttl seconds until a token expires */
  constructor(issuer: string, key: SigningKey, ttl: number, claims: ClaimsTemplate) {
    this.#issuer = issuer;
    this.#key = key;
    this.keys = key.published;
    this.#ttl = ttl;
    this.#claims = claims;
  }

  mutate(session: Session, services: MutatorServices): undefined | Promise<undefined> {
    const claims = renderClaims(this.#claims, session);
    const now = Math.floor(services.now());
    const content = JSON.stringify([this.#number, session.subject, claims]);
    const key = content.length > MAX_KEY ? hash('sha256', content, 'base64') : content;
    let entry = tokens.get(key);
    if (entry === undefined || now >= entry.until) {
      const signed: { token: Promise<string> | string; until: number } = {
        token: this.#sign(claims, session.subject, now),
        until: now + this.#ttl * REUSE,
      };
      (signed.token as Promise<string>).then(
        (token) => {
          signed.token = token;
        },
        () => tokens.delete(key),
      );
      // A token holds its claims in base64, which has four characters for three.
      tokens.set(key, signed, { size: ENTRY + Math.ceil((content.length * 4) / 3) });
      entry = signed;
    }
    const set = (token: string): undefined => {
      session.headers.set('authorization', ['Authorization', `Bearer ${token}`]);
    };
    return typeof entry.token === 'string' ? set(entry.token) : entry.token.then(set);
  }

  /** The registered claims come last, so that the template cannot change them. */
  #sign(claims: JsonObject, subject: string, now: number): Promise<string> {
    const { key, kid, algorithm } = this.#key;
    return new SignJWT({
      ...claims,
      iss: this.#issuer,
      sub: subject,
      iat: now,
      nbf: now,
      exp: now + this.#ttl,
      jti: randomUUID(),
    })
      .setProtectedHeader({ alg: algorithm, kid, typ: 'JWT' })
      .sign(key);
  }
}
