import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify';

/** Options of the plugin, as passed to `app.register`. */
export interface ScopegateOptions {
  /**
   * The settings: the path of a settings file, or a plain object with the content of such a file. In an
   * object, relative paths of files start from the working directory.
   */
  readonly settings: string | Readonly<Record<string, unknown>>;
  /** Environment variables. Those with the prefix `SCOPEGATE_` override settings. Default: `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /**
   * Whether scopegate forwards requests that no route of the application takes to the services of the rules.
   * Without it, the plugin only decides, in {@link Scopegate.authorize}.
   */
  readonly upstreams?: boolean | UpstreamRoutes;
  /**
   * Receives log lines and audit lines, each with its line break. Default: they go to the application's
   * logger.
   */
  readonly destination?: { write(line: string): void };
}

/** Which requests scopegate forwards to the services of the rules. */
export interface UpstreamRoutes {
  /**
   * Only paths below this one are forwarded, such as `/api`; upstreams get the whole path. Default: all
   * paths.
   */
  readonly prefix?: string;
  /** The methods that are forwarded. Default: all that a rule can have. */
  readonly methods?: readonly string[];
}

/** `app.scopegate`. */
export interface Scopegate {
  /**
   * A hook (`onRequest`, `preValidation` or `preHandler`) that lets a request through only if the rules allow
   * it. It answers all others. `request.scopegate` holds the decision.
   *
   * @throws TypeError if it is called as anything else than a hook
   */
  authorize(request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction): void;
  /** Whether requests are served: rules are loaded, and the application is not closing. */
  readonly ready: boolean;
  /** The version of the rule set in use. It grows with every reload. */
  readonly rulesVersion: number;
  /**
   * Reloads the rules. If they have errors, the previous rules stay in use.
   *
   * @returns the errors and warnings as `file:line:col level code message`; `ok` is false if the rules were
   *   not replaced
   */
  reload(): Promise<{ readonly ok: boolean; readonly findings: readonly string[] }>;
  /**
   * Removes cached answers of authorization servers, as `POST /cache/purge` of the gateway does.
   *
   * @returns how many were removed here, and whether other gateways were told, if there are any
   */
  purge(which: ScopegatePurge): Promise<{ readonly purged: number; readonly told?: boolean }>;
  /** The metrics in the Prometheus text format. */
  metrics(): Promise<string>;
  /** The media type of {@link metrics}. */
  readonly metricsType: string;
}

/** Which cached answers to remove. */
export type ScopegatePurge =
  | 'all'
  | { readonly token: string }
  | { readonly claim: 'sub' | 'client_id' | 'sid'; readonly value: string };

/** `request.scopegate`: the decision about one request. */
export interface ScopegateDecision {
  readonly allowed: boolean;
  /** The identifier of the request, as in the audit line and in `X-Request-Id` for the upstream. */
  readonly requestId: string;
  /** `namespace/name#index` of the rule that decided; undefined if none matched. */
  readonly rule: string | undefined;
  /** The subject of the token; empty if the rule needs no token. */
  readonly subject: string | undefined;
  readonly clientId: string | undefined;
  /** The scopes granted to the token. */
  readonly scopes: readonly string[];
  /** A copy of the claims: the introspection answer, or the payload of the JWT. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** When the token expires, in seconds since 1970, if known. */
  readonly expiresAt: number | undefined;
  /**
   * The header fields that the rule's mutators set, by lower-case name. scopegate sends them to an upstream.
   */
  readonly headers: Readonly<Record<string, string>>;
  /** The cookies that the rule's mutators set. */
  readonly cookies: Readonly<Record<string, string>>;
  /** The name of the error that the client got; undefined if the request was allowed. */
  readonly error: string | undefined;
  /** Why the request was refused. */
  readonly reason: string | undefined;
  /** The name of the error that the client would get, if the rule only observes; undefined otherwise. */
  readonly wouldDeny: string | undefined;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** scopegate in this application. */
    readonly scopegate: Scopegate;
  }
  interface FastifyRequest {
    /** The decision about this request; null before the hook has decided, and on routes without it. */
    readonly scopegate: ScopegateDecision | null;
  }
}
