import { buildConnector } from 'undici';

/** TLS towards one authorization server; PEM texts. Another object means that a file has changed. */
export interface ServerTls {
  /** Authorities to trust instead of Node's own. */
  readonly ca?: string;
  /** The gateway's client certificate (RFC 8705 §2), and its key. */
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Builds what opens connections to one server. New connections use the files as they are then; the session cache goes
 * with what it was made under, for a resumed session would keep the old certificate.
 *
 * @param tls read before each connection
 * @param timeout milliseconds
 */
export function serverConnector(tls: () => ServerTls, timeout: number): buildConnector.connector {
  let built: ServerTls | undefined;
  let connect: buildConnector.connector | undefined;
  return (options, callback) => {
    const now = tls();
    if (connect === undefined || now !== built) {
      // Certificates must be verified whatever the environment says.
      connect = buildConnector({ timeout, rejectUnauthorized: true, ...now });
      built = now;
    }
    connect(options, callback);
  };
}
