import type { SecureContext, SecureContextOptions, Server, TLSSocket } from 'node:tls';
import { certificateFor, type Identity, readIdentity, type TlsFiles, UnusableIdentity } from './identity.js';

/** What `https.createServer` takes of a listener's identity. */
export interface ServerIdentity extends SecureContextOptions {
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  readonly SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) => void;
}

/**
 * The identity of one TLS listener, which can be renewed while it serves: handshakes that have begun end on what they
 * began with, later ones get what is new, and connections that stand are not touched.
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

  /** Every file that is read. */
  get files(): string[] {
    const { clientCa, certificates } = this.#files;
    const ofAll = [this.#files, ...certificates].flatMap(({ cert, key, ca }) => [cert, key, ca]);
    return [...ofAll, clientCa].filter((file) => file !== undefined);
  }

  /** When the first certificate ends, in seconds since 1970. */
  get expiresAt(): number {
    return this.#identity.expiresAt;
  }

  /** What the server is created with. */
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
   * Keeps a server's identity current, and those out whose certificate nobody vouches for.
   *
   * @param server created with {@link serverOptions}, whose listeners of `secureConnection` are all in place
   */
  serve(server: Server): void {
    this.#server = server;
    if (this.#files.clientCertificates === 'optional') turnStrangersAway(server);
  }

  /**
   * Reads the files again. What is no identity, or has ended already, leaves the one from before in force.
   *
   * @param now seconds since 1970
   * @throws UnusableIdentity
   */
  reload(now: number): void {
    const next = readIdentity(this.#files);
    if (next.expiresAt <= now) throw new UnusableIdentity(['cert'], 'a certificate has expired already');
    this.#identity = next;
    this.#server?.setSecureContext(next.options);
  }
}

/**
 * A client need not show a certificate, but one it shows must be good. Node verifies it, and without
 * `rejectUnauthorized` lets anything pass.
 */
function turnStrangersAway(server: Server): void {
  const others = server.listeners('secureConnection') as ((socket: TLSSocket) => void)[];
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (!socket.authorized && Object.keys(socket.getPeerCertificate()).length > 0) socket.destroy();
    else for (const listener of others) listener.call(server, socket);
  });
}
