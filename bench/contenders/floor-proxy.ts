/**
 * The program of the contender `node:http bare`: takes a request, passes it on and checks nothing.
 *
 *     node build/bench/contenders/floor-proxy.js PORT UPSTREAM-PORT [CERT KEY]
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { type Dispatcher, Pool } from 'undici';

const [port, upstreamPort, cert, key] = process.argv.slice(2);
const pool = new Pool(`http://127.0.0.1:${upstreamPort}`, { connections: 256, pipelining: 1 });

/** Fields that belong to one connection, or that HTTP/2 has for itself. */
const DROPPED = /^(?::.*|connection|keep-alive|transfer-encoding)$/;

type Message = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

function forward(message: Message, response: Response): void {
  const headers = Object.fromEntries(
    Object.entries(message.headers).filter(([name]) => !DROPPED.test(name)),
  ) as Record<string, string | string[]>;
  const method = message.method as Dispatcher.HttpMethod;
  const body = method === 'GET' || method === 'HEAD' ? null : message;
  pool.dispatch({ path: message.url ?? '/', method, headers, body }, new Relay(response));
}

/** Carries one answer back. */
class Relay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: Response) {
    // The two kinds have the methods that are used here in common.
    this.#response = response as ServerResponse;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#response.on('close', () => {
      if (!this.#response.writableEnded) controller.abort(new Error('the client closed the connection'));
    });
    this.#response.on('drain', () => controller.resume());
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    for (const name of Object.keys(headers)) if (DROPPED.test(name)) delete headers[name];
    this.#response.writeHead(status, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    if (!this.#response.headersSent) this.#response.writeHead(502);
    this.#response.end();
  }
}

const server =
  cert === undefined || key === undefined
    ? createServer(forward)
    : createSecureServer({ cert: readFileSync(cert), key: readFileSync(key), allowHTTP1: true }, forward);
server.listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
