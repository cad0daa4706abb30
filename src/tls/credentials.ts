import type { SecureContext, SecureContextOptions, Server, TLSSocket } from 'node:tls';
import { certificateFor, type Identity, readIdentity, type TlsFiles, UnusableIdentity } from './identity.js';

/** The options of `https.createServer` that hold a listener's certificate and trusted authorities. */
export interface ServerIdentity extends SecureContextOptions {
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  readonly SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) => void;
}

/**
 * The certificates of one TLS listener, which can be replaced while it serves. Handshakes in progress finish
 * with the old certificates, later handshakes use the new ones, and open connections are not affected.
 */
export class Credentials {
  readonly #files: TlsFiles;
  #identity: Identity;
  #server: Server | undefined;

  /** @throws UnusableIdentity */
  constructor(files: TlsFiles) {
    this.#files = files;
    this.#identity = readIdentity(files);
  }

  /** All files that are read. */
  get files(): string[] {
    const { clientCa, certificates } = this.#files;
    const ofAll = [this.#files, ...certificates].flatMap(({ cert, key, ca }) => [cert, key, ca]);
    return [...ofAll, clientCa].filter((file) => file !== undefined);
  }

  /** When the first certificate expires, in seconds since 1970. */
  get expiresAt(): number {
    return this.#identity.expiresAt;
  }

  /** The options to create the server with. */
  serverOptions(): ServerIdentity {
    const { clientCertificates } = this.#files;
    return {
      ...this.#identity.options,
      requestCert: clientCertificates !== 'none',
      rejectUnauthorized: clientCertificates === 'required',
      SNICallback: (name, done) => done(null, certificateFor(this.#identity, name)?.context),
    };
  }

  /**
   * Keeps the certificates of a server current. If client certificates are optional, it also closes
   * connections whose client certificate cannot be verified.
   *
   * @param server created with {@link serverOptions}; all its listeners of `secureConnection` must already be
   *   attached
   */
  serve(server: Server): void {
    this.#server = server;
    if (this.#files.clientCertificates === 'optional') turnStrangersAway(server);
  }

  /**
   * Reads the files again. If they do not hold a valid, unexpired certificate and its key, the old
   * certificates stay in use.
   *
   * @param now seconds since 1970
   * @throws UnusableIdentity
   */
  reload(now: number): void {
    const next = readIdentity(this.#files);
    if (next.expiresAt <= now) throw new UnusableIdentity(['cert'], 'a certificate has expired');
    this.#identity = next;
    this.#server?.setSecureContext(next.options);
  }
}

/**
 * Closes connections whose client certificate is invalid. A client need not present a certificate, but if it
 * does, the certificate must be valid. Node verifies it, but accepts the connection anyway if
 * `rejectUnauthorized` is off.
 */
function turnStrangersAway(server: Server): void {
  const others = server.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (!socket.authorized && Object.keys(socket.getPeerCertificate()).length > 0) socket.destroy();
    else for (const listener of others) listener.call(server, socket);
  });
}
