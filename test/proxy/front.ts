import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Scope } from '../gateway.js';
import type { Certificate } from '../stack/certificate.js';
import type { Upstream } from '../upstream.js';
import { type RawUpstream, startRawUpstream } from './raw.js';

/** What forwards requests: a gateway, or an application with the Fastify plugin. */
export interface Front {
  readonly port: number;
  /** The upstream of the fixture's making. */
  readonly upstream: Upstream;
  /** Every log line so far, parsed. */
  readonly log: Record<string, unknown>[];
}

/** What a test may say about it. */
export interface FrontOptions {
  /** YAML of rules; default `FORWARD_RULES`. */
  readonly rules?: string;
  /** Settings laid over the defaults of the fixture. */
  readonly settings?: Readonly<Record<string, object>>;
  /** How the upstream answers. */
  readonly respond?: RequestListener;
  /** Another upstream than one of the fixture's making. */
  readonly upstreamUrl?: string;
}

/** Starts one; everything ends with the test. */
export type StartFront<F extends Front = Front> = (t: Scope, options?: FrontOptions) => Promise<F>;

/** Starts one before an upstream that says the same to everyone. */
export async function saying<F extends Front>(
  t: Scope,
  start: StartFront<F>,
  answer: string,
): Promise<F & { readonly raw: RawUpstream }> {
  const raw = await startRawUpstream(t, (socket) => socket.write(answer, 'latin1'));
  return { ...(await start(t, { upstreamUrl: raw.url })), raw };
}

/** Starts an upstream with TLS that answers `secure`, and would speak HTTP/2. It ends with the test. */
export async function startTlsUpstream(
  t: Scope,
  { cert, key }: Certificate,
): Promise<{ readonly url: string; readonly protocols: (string | false | null)[] }> {
  const protocols: (string | false | null)[] = [];
  const server = createTlsServer({ cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, (message, response) => {
    protocols.push((message.socket as TLSSocket).alpnProtocol);
    response.end('secure');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, protocols };
}
