import type { OnReadOpts } from 'node:net';
import { buildConnector } from 'undici';

/** TLS towards one server, an authorization server or an upstream; PEM texts. Another object means that a file has changed. */
export interface ServerTls {
  /** Authorities to trust instead of Node's own. */
  readonly ca?: string;
  /** The gateway's client certificate (at an authorization server: RFC 8705 §2), and its key. */
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Builds what opens connections to one server. New connections use the files as they are then; the session cache goes
 * with what it was made under, for a resumed session would keep the old certificate.
 *
 * @param tls read before each connection
 * @param timeout milliseconds
 * @param verify false takes any certificate
 * @param onread how its sockets read; undefined as streams do
 */
export function serverConnector(
  tls: () => ServerTls,
  timeout: number,
  verify = true,
  onread?: OnReadOpts,
): buildConnector.connector {
  let built: ServerTls | undefined;
  let connect: buildConnector.connector | undefined;
  return (options, callback) => {
    const now = tls();
    if (connect === undefined || now !== built) {
      // What the environment says of verification does not count.
      connect = buildConnector({
        timeout,
        rejectUnauthorized: verify,
        ...now,
        ...(onread === undefined ? {} : { onread }),
      });
      built = now;
    }
    connect(options, callback);
  };
}

/** TLS towards one upstream. */
export interface UpstreamTls {
  /** False takes any certificate. */
  readonly verify: boolean;
  /** What is trusted and shown, read before each connection. */
  readonly identity: () => ServerTls;
}
