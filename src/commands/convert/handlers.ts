import type { Path } from '../../document/yaml.js';
import type { HandlerEntry } from '../../rules/apirule/access-strategies.js';
import { merged, type OathkeeperConfig, type Pipeline } from './oathkeeper.js';

/** Called for a part of the rule that the APIRule omits. */
export type Lost = (path: Path, what: string) => void;

type Config = Record<string, unknown>;

/**
 * Handler fields that are settings in scopegate or have no counterpart there, each with the text to report.
 */
const DROPPED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  jwt: {
    jwks_max_wait: 'scopegate reads key sets in the background, and a call ends at introspection.timeout',
    jwks_ttl: 'scopegate reads key sets again after five minutes',
  },
};

/** Handlers that read their credential from Authorization unless their `config` says otherwise. */
const BY_AUTHORIZATION: ReadonlySet<string> = new Set([
  'oauth2_introspection',
  'jwt',
  'bearer_token',
  'oauth2_client_credentials',
]);

/** Merges the `config` of an entry with the one that the configuration sets for all rules. */
function settled(entry: HandlerEntry, pipeline: Pipeline, config: OathkeeperConfig): Config {
  return merged(config.handler(pipeline, entry.handler), entry.config ?? {});
}

function entryOf(handler: string, config: Config): HandlerEntry {
  return Object.keys(config).length === 0 ? { handler } : { handler, config };
}

/**
 * Converts a rule's authenticators. It leaves out what the settings already say for all rules. It moves
 * `anonymous` to where scopegate needs it, and replaces `noop` after other handlers, because it means
 * something else in scopegate.
 */
export function accessStrategies(
  authenticators: readonly HandlerEntry[],
  config: OathkeeperConfig,
  lost: Lost,
): HandlerEntry[] {
  const entries = authenticators.map((entry, index) => ({
    entry: authenticator(entry, config, (path, what) => lost(['authenticators', index, ...path], what)),
    index,
  }));
  // A handler that allows every request, or none, is final if it comes first.
  const first = entries[0]?.entry;
  if (first !== undefined && (entries.length === 1 || ['noop', 'unauthorized'].includes(first.handler)))
    return [first];
  const kept: HandlerEntry[] = [];
  let last: HandlerEntry | undefined;
  for (const { entry, index } of entries) {
    const later = entries.slice(index + 1).map((each) => each.entry);
    if (last !== undefined && isOpen(entry)) continue;
    if (entry.handler === 'unauthorized' && index === entries.length - 1) continue;
    if (entry.handler === 'noop' && index > 0) {
      lost(
        ['authenticators', index],
        'noop after other handlers lets invalid credentials pass; convert replaces it by anonymous, which only accepts requests without a credential',
      );
      last = { handler: 'anonymous', config: { subject: '' } };
    } else if (entry.handler === 'anonymous' && later.length > 0) {
      if (later.some((each) => !takesAuthorization(each))) kept.push(entry);
      else last = entry;
    } else if (entry.handler === 'anonymous') {
      last = entry;
    } else {
      kept.push(entry);
    }
  }
  return last === undefined ? kept : [...kept, last];
}

function isOpen({ handler }: HandlerEntry): boolean {
  return handler === 'noop' || handler === 'anonymous';
}

/**
 * Whether this handler is only responsible for requests with Authorization. Then it does not matter whether
 * `anonymous` comes before or after it.
 */
function takesAuthorization({ handler, config }: HandlerEntry): boolean {
  if (handler === 'unauthorized' || handler === 'noop') return true;
  return BY_AUTHORIZATION.has(handler) && (config?.token_from ?? null) === null;
}

function authenticator(entry: HandlerEntry, general: OathkeeperConfig, lost: Lost): HandlerEntry {
  const { handler } = entry;
  const config = settled(entry, 'authenticators', general);
  for (const [field, why] of Object.entries(DROPPED[handler] ?? {})) {
    if (!(field in config)) continue;
    delete config[field];
    lost(['config', field], `${field}: ${why}`);
  }
  compareExactly(config, entry, lost);
  if (handler === 'oauth2_introspection') ofSettings(config, general, entry);
  return entryOf(handler, config);
}

/**
 * Gives required scopes the strategy `exact` where Oathkeeper had `none`, its default. Without it, the rule
 * would get the strategy of the settings, which may grant more. Introspection rules that say nothing have the
 * strategy of the settings in Oathkeeper, too.
 */
function compareExactly(config: Config, { handler, config: own }: HandlerEntry, lost: Lost): void {
  const { required_scope: scopes, scope_strategy: strategy = 'none' } = config;
  if (!Array.isArray(scopes) || scopes.length === 0 || strategy !== 'none') return;
  const ofRule = own?.scope_strategy !== undefined;
  const at = ['config', ofRule ? 'scope_strategy' : 'required_scope'];
  if (handler === 'jwt') {
    lost(
      at,
      'the scope strategy none, with which Oathkeeper refused every token: scopegate compares, exactly',
    );
  } else if (handler === 'oauth2_introspection' && ofRule) {
    lost(
      at,
      'the strategy none, with which the authorization server compared scopes: scopegate does, exactly',
    );
  } else return;
  config.scope_strategy = 'exact';
}

/** Removes from a rule what the settings say for all rules, unless the rule itself says it. */
function ofSettings(config: Config, general: OathkeeperConfig, { config: own }: HandlerEntry): void {
  for (const field of ['introspection_url', 'scope_strategy', 'cache', 'pre_authorization']) {
    const inGeneral = general.handler('authenticators', 'oauth2_introspection')[field];
    if (inGeneral !== undefined && own?.[field] === undefined) delete config[field];
  }
  const cache = config.cache as Config | undefined;
  if (cache !== undefined) {
    const { enabled, ttl } = cache;
    const kept = { ...(enabled === undefined ? {} : { enabled }), ...(ttl === undefined ? {} : { ttl }) };
    if (Object.keys(kept).length === 0) delete config.cache;
    else config.cache = kept;
  }
}

/** Converts a rule's mutators and drops `noop`. */
export function mutators(
  list: readonly HandlerEntry[],
  config: OathkeeperConfig,
  shift: (value: unknown) => unknown,
): HandlerEntry[] {
  return list
    .filter(({ handler }) => handler !== 'noop')
    .map((entry) => entryOf(entry.handler, shift(settled(entry, 'mutators', config)) as Config));
}

/**
 * Says that Oathkeeper refuses the rule because it has no mutators; undefined if it does not.
 *
 * @param ofResource whether the rule stands in a Rule resource, for which Oathkeeper Maester writes `noop` if
 *   they are absent
 */
export function refusedBefore(
  list: readonly HandlerEntry[] | null | undefined,
  ofResource: boolean,
): string | undefined {
  if (ofResource ? list?.length !== 0 : (list ?? []).length > 0) return undefined;
  return 'Oathkeeper refuses a rule without mutators, so it never answered there; the APIRule answers. Remove it if it must not';
}

/** The authorizers that scopegate has. */
const AUTHORIZERS: ReadonlySet<string> = new Set(['allow', 'deny', 'remote', 'remote_json']);

/**
 * Converts a rule's authorizer.
 *
 * @returns the entries of `scopegate.authorizers`; undefined if scopegate has no such authorizer
 */
export function authorizers(
  entry: HandlerEntry,
  config: OathkeeperConfig,
  shift: (value: unknown) => unknown,
): HandlerEntry[] | undefined {
  if (!AUTHORIZERS.has(entry.handler)) return undefined;
  if (entry.handler === 'allow') return [];
  return [entryOf(entry.handler, shift(settled(entry, 'authorizers', config)) as Config)];
}

/** The errors that scopegate's error handlers can handle. */
const ERRORS: ReadonlySet<unknown> = new Set(['unauthorized', 'forbidden']);

/**
 * Converts a rule's error handlers, or Oathkeeper's fallback handlers if the rule has none.
 *
 * @param lost for the rule's own handlers; `settingsOf` reports once what the configuration says for all
 *   rules
 * @returns the entries of `scopegate.errors`; empty if every response is JSON
 */
export function errorHandlers(
  list: readonly HandlerEntry[] | undefined | null,
  config: OathkeeperConfig,
  lost: Lost,
  fallbackLost?: Lost,
): HandlerEntry[] {
  const fallback = config.at('errors', 'fallback');
  const own = list ?? [];
  const names = Array.isArray(fallback) ? fallback.filter((name) => typeof name === 'string') : [];
  const entries = own.length > 0 ? own : names.map((handler) => ({ handler }));
  const made = entries.flatMap((entry, index) => {
    const report: Lost = (path, what) => {
      if (own.length > 0) lost(['errors', index, ...path], what);
      else fallbackLost?.(['errors', 'handlers', entry.handler, ...path], what);
    };
    if (entry.handler === 'json') return [{ handler: 'json', config: settled(entry, 'errors', config) }];
    if (entry.handler !== 'redirect' && entry.handler !== 'www_authenticate') {
      report([], `the error handler ${entry.handler}, which scopegate does not have`);
      return [];
    }
    const whole = errorConfig(settled(entry, 'errors', config), report);
    if (whole === undefined) return [];
    if (entry.handler === 'redirect' && typeof whole.to !== 'string') {
      report(
        [],
        'the redirect, because it has no target; pass the configuration of Oathkeeper with --config',
      );
      return [];
    }
    return [{ handler: entry.handler, config: whole }];
  });
  while (made.at(-1)?.handler === 'json') made.pop();
  return made.map((entry) => {
    if (entry.handler !== 'json') return entry;
    const whole = errorConfig(entry.config, () => {});
    return entryOf('json', whole?.when === undefined ? {} : { when: whole.when });
  });
}

/** @returns undefined if no condition is left under which scopegate can use the handler */
function errorConfig(config: Config, lost: Lost): Config | undefined {
  const { when, verbose: _, ...rest } = config;
  if (rest.code !== undefined && ![301, 302, 303].includes(rest.code as number)) delete rest.code;
  if (!Array.isArray(when) || when.length === 0) return rest;
  const kept = (when as readonly Config[]).flatMap((each, index) => {
    const { error, request } = each;
    const { remote_ip: address, cidr, ...told } = (request ?? {}) as Config;
    if (address !== undefined || cidr !== undefined) {
      const field = address === undefined ? 'cidr' : 'remote_ip';
      const what =
        'a condition on the address of the client; its requests get the next error handler, or JSON';
      lost(['config', 'when', index, 'request', field], what);
      return [];
    }
    const errors = Array.isArray(error) ? error.filter((name) => ERRORS.has(name)) : undefined;
    if (Array.isArray(error) && errors?.length !== error.length) {
      const what = 'errors other than unauthorized and forbidden, for which scopegate always answers JSON';
      lost(['config', 'when', index, 'error'], what);
    }
    if (errors?.length === 0 && (error as unknown[]).length > 0) return [];
    return [
      {
        ...(errors === undefined || errors.length === 0 ? {} : { error: errors }),
        ...(Object.keys(told).length === 0 ? {} : { request: told }),
      },
    ];
  });
  return kept.length === 0 ? undefined : { ...rest, when: kept };
}
