import { setTimeout as pause } from 'node:timers/promises';
import type { Endpoint, Readiness } from '../../model/authorization-server.js';
import type { Clock } from '../../model/clock.js';

/** The result of one readiness check. */
export type ReadinessResult =
  /** The server can look tokens up. */
  | { readonly state: 'ready' }
  /** It cannot, or it did not say so in time. */
  | { readonly state: 'not_ready'; readonly cause: string /** Milliseconds. */; readonly retryAfter: number }
  /** The server does not serve the URL, which scopegate had derived. So nothing is known. */
  | { readonly state: 'absent'; readonly cause: string };

/** What the check means for one inactive answer. */
export type Confirmation =
  | { readonly ok: true }
  | { readonly ok: false; readonly cause: string /** Milliseconds. */; readonly retryAfter: number };

/** An endpoint whose server has a readiness URL. */
export type CheckedEndpoint = Endpoint & { readonly readiness: Readiness };

/** Asks the readiness URL of a server. It never rejects. */
export type CheckReadiness = (endpoint: CheckedEndpoint) => Promise<ReadinessResult>;

/**
 * Called after each check.
 *
 * @param changed whether the state is not that of the check before; the first is compared with `ready`
 */
export type OnCheck = (endpoint: CheckedEndpoint, result: ReadinessResult, changed: boolean) => void;

/** The shortest time from one check to the next, and how long a result counts, in milliseconds. */
const INTERVAL = 1_000;
/** How long scopegate does not ask a derived URL again that the server does not serve, in milliseconds. */
const ABSENT_FOR = 60_000;

const CONFIRMED: Confirmation = { ok: true };

/** What is known of one readiness URL. All times are monotonic milliseconds. */
interface Known {
  result: ReadinessResult | undefined;
  /** When the last check began. */
  started: number;
  /** Answers to calls that began earlier may come from an outage that has just ended. */
  readySince: number;
  /** Set if a token that was active has become inactive since the last check began. */
  doubted: boolean;
  running: Promise<void> | undefined;
  /** The next check, while it waits for its turn. */
  next: Promise<void> | undefined;
}

/**
 * Says whether an authorization server can look tokens up. Ory Hydra answers `{"active":false}` for every token
 * while its database is down, which looks like an invalid token. So an inactive answer counts only if the
 * server was ready.
 *
 * Each URL is asked at most once a second, and only when an inactive answer arrives.
 */
export class ReadinessChecks {
  readonly #check: CheckReadiness;
  readonly #clock: Clock;
  readonly #onCheck: OnCheck;
  readonly #known = new Map<string, Known>();

  constructor(check: CheckReadiness, clock: Clock, onCheck: OnCheck = () => {}) {
    this.#check = check;
    this.#clock = clock;
    this.#onCheck = onCheck;
  }

  /**
   * Confirms an inactive answer, after it has arrived.
   *
   * @param asked when the introspection call began, in monotonic milliseconds
   * @param wasActive whether the token was active before and has not expired. That is a sign of an outage: only
   *   a check that begins after it confirms the answer, and every other answer waits for that check too
   */
  async confirm(endpoint: CheckedEndpoint, asked: number, wasActive: boolean): Promise<Confirmation> {
    const known = this.#of(endpoint.readiness.url);
    if (wasActive) known.doubted = true;
    if (!this.#covered(known)) await (wasActive ? this.#next(endpoint, known) : this.#soon(endpoint, known));
    const { result } = known;
    if (result?.state === 'not_ready')
      return { ok: false, cause: result.cause, retryAfter: result.retryAfter };
    if (asked >= known.readySince) return CONFIRMED;
    return { ok: false, cause: 'it was not ready at the last check', retryAfter: INTERVAL };
  }

  #of(url: string): Known {
    let known = this.#known.get(url);
    if (known === undefined) {
      const never = Number.NEGATIVE_INFINITY;
      known = {
        result: undefined,
        started: never,
        readySince: never,
        doubted: false,
        running: undefined,
        next: undefined,
      };
      this.#known.set(url, known);
    }
    return known;
  }

  /** Whether the last result still counts for an answer that arrives now. */
  #covered({ result, started, doubted }: Known): boolean {
    if (result === undefined || (result.state === 'ready' && doubted)) return false;
    return this.#clock.monotonic() - started < (result.state === 'absent' ? ABSENT_FOR : INTERVAL);
  }

  /** Waits for a check that began within the last second. */
  #soon(endpoint: CheckedEndpoint, known: Known): Promise<void> {
    return (known.doubted ? undefined : known.running) ?? this.#next(endpoint, known);
  }

  /** Waits for a check that begins from now on. */
  #next(endpoint: CheckedEndpoint, known: Known): Promise<void> {
    if (known.next !== undefined) return known.next;
    const wait = known.started + INTERVAL - this.#clock.monotonic();
    if (known.running === undefined && wait <= 0) return this.#run(endpoint, known);
    known.next = Promise.all([
      known.running,
      wait > 0 ? pause(wait, undefined, { ref: false }) : undefined,
    ]).then(() => {
      known.next = undefined;
      return this.#run(endpoint, known);
    });
    return known.next;
  }

  #run(endpoint: CheckedEndpoint, known: Known): Promise<void> {
    const started = this.#clock.monotonic();
    known.started = started;
    known.doubted = false;
    known.running = this.#check(endpoint).then((result) => {
      const before = known.result?.state;
      if (before === 'not_ready' && result.state !== 'not_ready') known.readySince = started;
      known.result = result;
      known.running = undefined;
      this.#onCheck(endpoint, result, (before ?? 'ready') !== result.state);
    });
    return known.running;
  }
}

/** Hydra's introspection endpoint, behind any prefix. Hydra v1 has no `/admin`. */
const HYDRA_PATH = /(?:\/admin)?\/oauth2\/introspect\/?$/;

/**
 * Whether an introspection URL has the path of Ory Hydra's admin API. Other servers may have it too.
 *
 * @param url a valid URL
 */
export function looksLikeHydra(url: string): boolean {
  return HYDRA_PATH.test(new URL(url).pathname);
}

/**
 * Derives where to ask about readiness from a token endpoint, which Hydra has on its public port.
 *
 * @param url a valid URL
 * @returns undefined if the URL does not look like Hydra's
 */
export function tokenEndpointReadiness(url: string): Readiness | undefined {
  const { origin, pathname } = new URL(url);
  const path = /\/oauth2\/token\/?$/;
  return path.test(pathname)
    ? { url: `${origin}${pathname.replace(path, '')}/health/ready`, derived: true }
    : undefined;
}

/**
 * Derives where to ask about readiness from an introspection URL.
 *
 * @param url a valid URL
 * @returns Hydra's `/health/ready`; undefined if the URL does not look like Hydra's
 */
export function derivedReadiness(url: string): Readiness | undefined {
  const { origin, pathname } = new URL(url);
  return HYDRA_PATH.test(pathname)
    ? { url: `${origin}${pathname.replace(HYDRA_PATH, '')}/health/ready`, derived: true }
    : undefined;
}
