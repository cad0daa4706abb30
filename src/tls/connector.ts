import type { OnReadOpts } from 'node:net';
import { buildConnector } from 'undici';

/**
 * TLS settings for one server, which is an authorization server or an upstream. The values are PEM texts. A
 * new object means that a file has changed.
 */
export interface ServerTls {
  /** The authorities to trust instead of those built into Node. */
  readonly ca?: string;
  /** The gateway's client certificate (for an authorization server: RFC 8705 §2), and its key. */
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Builds the function that opens connections to one server. New connections use the current files. When the
 * files change, the TLS session cache is dropped too, because a resumed session would keep the old
 * certificate.
 *
 * @param tls called before each connection
 * @param timeout milliseconds
 * @param verify false accepts any certificate
 * @param onread how the sockets read data; if undefined, they read as streams
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
      // `rejectUnauthorized` is always set, so that NODE_TLS_REJECT_UNAUTHORIZED has no effect.
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

/** TLS settings for one upstream. */
export interface UpstreamTls {
  /** False accepts any certificate. */
  readonly verify: boolean;
  /** Returns the trusted authorities and the client certificate; called before each connection. */
  readonly identity: () => ServerTls;
}
