import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Scope, startTestGateway, type TestGateway, type TestGatewayOptions } from './gateway.js';
import { makeCertificate } from './stack/certificate.js';

/** A gateway that serves TLS, and what its clients trust. */
export interface TlsGateway extends TestGateway {
  readonly ca: string;
  /** Opens a connection of HTTP/2, which ends with the test. */
  session(): Promise<ClientHttp2Session>;
}

/** Starts one, for the host of the vectors. */
export async function startTlsGateway(t: Scope, options: TestGatewayOptions = {}): Promise<TlsGateway> {
  const { ca, cert, key } = await makeCertificate(['gate.example']);
  const folder = mkdtempSync(join(tmpdir(), 'scopegate-tls-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const tls = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  writeFileSync(tls.cert, cert);
  writeFileSync(tls.key, key);
  const { listen, ...settings } = (options.settings ?? {}) as { listen?: { proxy?: { tls?: object } } };
  const gateway = await startTestGateway(t, {
    ...options,
    settings: { ...settings, listen: { proxy: { tls: { ...tls, ...listen?.proxy?.tls } } } },
  });
  return {
    ...gateway,
    ca,
    async session() {
      const session = connect(gateway.url, { ca, servername: 'gate.example' });
      session.on('error', () => {});
      t.teardown(() => session.destroy());
      await once(session, 'connect');
      return session;
    },
  };
}

/** How a stream ended. */
export interface StreamAnswer {
  /** 0 where there was none. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  /** Statuses of interim answers. */
  readonly interim: readonly number[];
  readonly body: Buffer;
  /** The code of the stream's end (RFC 9113 §7): 0 where nothing was wrong. */
  readonly code: number;
  /** Whether the answer came to its end. */
  readonly ended: boolean;
}

/** The fields of a request with the read token; `undefined` leaves a field out. */
export function fields(more: OutgoingHttpHeaders = {}): OutgoingHttpHeaders {
  const all = {
    ':method': 'GET',
    ':path': '/get',
    ':authority': 'gate.example',
    authorization: 'Bearer good-read',
    ...more,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** Sends a request, with a body or without. */
export function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string | Buffer,
): Promise<StreamAnswer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

/** Reads a stream to its end. */
export async function answerOf(stream: ClientHttp2Stream): Promise<StreamAnswer> {
  const chunks: Buffer[] = [];
  const interim: number[] = [];
  let headers: IncomingHttpHeaders & { ':status'?: number | undefined } = {};
  let trailers: IncomingHttpHeaders = {};
  let ended = false;
  stream.on('headers', (fields) => interim.push(fields[':status'] as number));
  stream.on('response', (fields) => {
    headers = fields;
  });
  stream.on('trailers', (fields) => {
    trailers = fields;
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    ended = true;
  });
  stream.on('error', () => {});
  if (!stream.destroyed) await new Promise((resolve) => stream.once('close', resolve));
  return {
    status: headers[':status'] ?? 0,
    headers,
    trailers,
    interim,
    body: Buffer.concat(chunks),
    code: stream.rstCode,
    ended: ended && stream.rstCode === 0,
  };
}
