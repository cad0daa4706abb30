import type { Logger } from 'pino';
import type { CertificateState, LastFailure } from '../admin/troubles.js';
import type { Settings } from '../config/settings.js';
import type { Clock } from '../model/clock.js';
import type { Metrics } from '../observe/metric-events.js';
import { causeOf } from '../observe/redaction.js';
import { Credentials } from '../tls/credentials.js';
import { expiryProblem } from '../tls/expiry.js';
import { insecureSuites, UnusableIdentity } from '../tls/identity.js';

/** The certificates of the listeners. They can be renewed while the listeners serve. */
export class Certificates {
  readonly proxy: Credentials | undefined;
  readonly admin: Credentials | undefined;
  /** By listener: the last attempt to renew its certificates, if it failed. */
  readonly #failures = new Map<string, LastFailure>();
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #log: Logger;

  constructor({ listen }: Settings, clock: Clock, metrics: Metrics, log: Logger) {
    this.proxy = listen.proxy.tls && new Credentials(listen.proxy.tls);
    this.admin = listen.admin.tls && new Credentials(listen.admin.tls);
    this.#clock = clock;
    this.#metrics = metrics;
    this.#log = log;
    for (const [name, { tls }] of Object.entries(listen)) {
      const insecure = tls && insecureSuites(tls, `listen.${name}.tls`);
      if (insecure === undefined) continue;
      log.warn(insecure, 'insecure: suites without forward secrecy or authenticated encryption are accepted');
    }
  }

  /** The listeners that have a certificate, by name. */
  get all(): [listener: string, credentials: Credentials][] {
    const { proxy, admin } = this;
    return Object.entries({ proxy, admin }).filter(
      (entry): entry is [string, Credentials] => entry[1] !== undefined,
    );
  }

  /** The state of each listener's certificates. */
  get states(): CertificateState[] {
    return this.all.map(([listener, { expiresAt }]) => ({
      listener,
      expiresAt,
      failure: this.#failures.get(listener),
    }));
  }

  /** Reads every listener's files again. */
  renewAll(): void {
    for (const [listener, credentials] of this.all) this.renew(listener, credentials);
  }

  /** Puts renewed certificates into use. If that fails, logs why the old ones stay in use. */
  renew(listener: string, credentials: Credentials): void {
    try {
      credentials.reload(this.#clock.wall());
      this.#failures.delete(listener);
      this.#metrics.certificatesReloaded(listener, true);
      const expires = new Date(credentials.expiresAt * 1000).toISOString();
      this.#log.info({ listener, expires }, 'certificates reloaded');
      const problem = expiryProblem(credentials.expiresAt, this.#clock.wall());
      if (problem !== undefined) this.#log.warn({ listener, expires }, `a certificate ${problem.message}`);
    } catch (error) {
      this.#metrics.certificatesReloaded(listener, false);
      const cause = error instanceof UnusableIdentity ? error.message : causeOf(error);
      this.#failures.set(listener, { cause, at: this.#clock.wall() });
      this.#log.error({ listener, cause }, 'certificates not reloaded: the old ones stay in use');
    }
  }
}
