import type { Decision } from '../model/decision.js';
import type { ScopegateDecision } from './plugin-types.js';

/**
 * A decision as routes see it. All requests with the same token share the claims of the cached answer, so a
 * route gets its own copy of them. It is made when the route reads it.
 */
export class RequestDecision implements ScopegateDecision {
  readonly #decision: Decision;
  #claims: Readonly<Record<string, unknown>> | undefined;
  readonly requestId: string;

  constructor(decision: Decision, requestId: string) {
    this.#decision = decision;
    this.requestId = requestId;
  }

  get allowed(): boolean {
    return this.#decision.allowed;
  }

  get rule(): string | undefined {
    return this.#decision.rule?.id;
  }

  get subject(): string | undefined {
    return this.#decision.subject?.subject;
  }

  get clientId(): string | undefined {
    return this.#decision.subject?.clientId;
  }

  get scopes(): readonly string[] {
    return [...(this.#decision.subject?.scopes ?? [])];
  }

  get claims(): Readonly<Record<string, unknown>> {
    this.#claims ??= structuredClone(this.#decision.subject?.claims ?? {}) as Record<string, unknown>;
    return this.#claims;
  }

  get expiresAt(): number | undefined {
    return this.#decision.subject?.expiresAt;
  }

  get headers(): Readonly<Record<string, string>> {
    const headers = this.#decision.allowed ? (this.#decision.mutations?.headers ?? []) : [];
    return Object.fromEntries(headers.map(([name, value]) => [name.toLowerCase(), value]));
  }

  get cookies(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#decision.allowed ? (this.#decision.mutations?.cookies ?? []) : []);
  }

  get error(): string | undefined {
    return this.#decision.allowed ? undefined : this.#decision.denial.error;
  }

  get reason(): string | undefined {
    return this.#decision.allowed ? undefined : this.#decision.denial.reason;
  }

  get wouldDeny(): string | undefined {
    return this.#decision.allowed ? this.#decision.wouldDeny?.error : undefined;
  }

  /** For a log or a response. It omits the claims, which may contain personal data. */
  toJSON(): Record<string, unknown> {
    const { allowed, requestId, rule, subject, clientId, scopes, error, reason, wouldDeny } = this;
    return { allowed, requestId, rule, subject, clientId, scopes, error, reason, wouldDeny };
  }
}
