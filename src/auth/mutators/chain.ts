import type { Denial } from '../../model/errors.js';
import { encodeCharacters, encodeFieldValue } from '../../model/field-encoding.js';
import type {
  HeaderMutations,
  HeaderRemoval,
  Mutator,
  MutatorChain,
  MutatorServices,
  PublicKey,
  Session,
} from '../../model/mutator.js';
import { cookieKey } from '../../parse/cookies.js';
import { headerKey } from './header-key.js';
import { unsendable } from './header-templates.js';

/**
 * Builds the chain of a rule's mutators.
 *
 * @returns undefined if there are none, so that rules without mutators cost nothing
 */
export function chain(mutators: readonly Mutator[]): MutatorChain | undefined {
  if (mutators.length === 0) return undefined;
  return {
    mutators,
    writes: {
      // The names as written as well: forward-auth names them to proxies.
      headers: new Set(
        mutators.flatMap(({ headers }) => headers.flatMap((name) => [headerKey(name), name.toLowerCase()])),
      ),
      cookies: new Set(mutators.flatMap(({ cookies }) => cookies.map(cookieKey))),
    },
  };
}

/**
 * Fields that describe the message or carry a credential of the client. Upstreams do not rely on scopegate
 * for them, so only a rule that sets such a field replaces the client's value.
 */
const NO_STATEMENT =
  /^(accept(-.*)?|authorization|cache-control|content-.*|date|from|if-.*|origin|pragma|prefer|priority|range|referer|user-agent)$/;

/**
 * The header fields and cookies that mutators of any rule write. scopegate removes the client's copies on
 * every rule.
 *
 * @returns undefined if there are none
 */
export function reservedHeaders(chains: Iterable<MutatorChain | undefined>): HeaderRemoval | undefined {
  const headers = new Set<string>();
  const cookies = new Set<string>();
  for (const each of chains) {
    for (const name of each?.writes.headers ?? []) if (!NO_STATEMENT.test(name)) headers.add(name);
    for (const name of each?.writes.cookies ?? []) cookies.add(name);
  }
  return headers.size + cookies.size === 0 ? undefined : { headers, cookies };
}

/**
 * Runs the mutators of a chain. Synchronous unless a mutator must wait.
 *
 * @param session changed by the mutators
 * @returns what the mutators set, or a refusal
 */
export function mutate(
  chained: MutatorChain,
  session: Session,
  services: MutatorServices,
): HeaderMutations | Denial | Promise<HeaderMutations | Denial> {
  return step(chained, session, services, 0);
}

function step(
  chained: MutatorChain,
  session: Session,
  services: MutatorServices,
  from: number,
): HeaderMutations | Denial | Promise<HeaderMutations | Denial> {
  for (let i = from; i < chained.mutators.length; i++) {
    const mutator = chained.mutators[i] as Mutator;
    if (services.forwards === false && mutator.offline !== true) continue;
    const outcome = mutator.mutate(session, services);
    if (outcome instanceof Promise) {
      return outcome.then((denied) => denied ?? step(chained, session, services, i + 1));
    }
    if (outcome !== undefined) return outcome;
  }
  return encoded(chained, session, services);
}

/** Encodes what the mutators set. A request never goes on without one of these values. */
function encoded(
  { writes }: MutatorChain,
  session: Session,
  { fieldEncoding = 'utf-8' }: MutatorServices,
): HeaderMutations | Denial {
  const headers: [string, string][] = [];
  for (const [name, text] of session.headers.values()) {
    const value = encodeFieldValue(text, fieldEncoding);
    if (value === undefined) return unsendable(`header field ${name}`);
    headers.push([name, value]);
  }
  const cookies: [string, string][] = [];
  for (const [name, text] of session.cookies) {
    // Blanks stay: the value is quoted because of them.
    const value = encodeCharacters(text, fieldEncoding);
    if (value === undefined) return unsendable(`cookie ${name}`);
    // As Go's net/http writes it for Oathkeeper.
    cookies.push([name, value.includes(' ') ? `"${value}"` : value]);
  }
  const { replaced: more } = session;
  const replaced =
    more === undefined ? writes : { ...writes, headers: new Set([...writes.headers, ...more]) };
  return { replaced, headers, cookies };
}

/** The JWK Set (RFC 7517 §5) with the public keys of all mutators that sign. */
export function signingKeys(chains: Iterable<MutatorChain | undefined>): { keys: PublicKey[] } {
  const keys = new Map<string, PublicKey>();
  for (const each of chains) {
    for (const mutator of each?.mutators ?? []) {
      for (const key of mutator.keys) keys.set(JSON.stringify([key.kid, key.n, key.x]), key);
    }
  }
  return { keys: [...keys.values()] };
}
