import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { Client, type Dispatcher } from 'undici';
import type { PoolState } from '../../../src/model/upstream.js';
import type {
  ResponseReader,
  UpstreamClient,
  UpstreamClientOptions,
  UpstreamConnection,
} from '../../../src/proxy/upstream/client.js';
import {
  BODY_TIMEOUT,
  CLIENT_SHARE,
  CLOSED,
  HEAD_TIMEOUT,
  Interrupted,
  LONG_FULL,
  QUEUE_TIMEOUT,
} from '../../../src/proxy/upstream/interrupted.js';
import { mayRepeat, type UpstreamRequest, writeHead } from '../../../src/proxy/upstream/request-head.js';
import { InvalidResponse, type ResponseHead } from '../../../src/proxy/upstream/response-head.js';

/** How long an answer that lasts is borne without room for it, as by the program's own client. */
const GRACE = 500;

/** A client of undici's, which has one connection at a time and opens another when it has ended. */
interface Line {
  readonly client: Client;
  open: boolean;
  /** Whether an answer has come on its connection. */
  used: boolean;
}

/**
 * An `UpstreamClient` over undici's dispatch: undici connects, writes requests and parses answers. Which request may
 * have a connection, and what lasts, is settled here, in the fewest lines that do it.
 *
 * It is an oracle: the behaviour tests run against it as well as against the program's own client, and
 * oracle.slow.ts lists where the two differ. It is not part of the program.
 */
export class UndiciClient implements UpstreamClient {
  readonly options: UpstreamClientOptions;
  readonly #lines = new Set<Line>();
  readonly #idle: Line[] = [];
  readonly #waiting: UndiciExchange[] = [];
  readonly #short = new Set<UndiciExchange>();
  readonly #long = new Set<UndiciExchange>();
  #turnedAway = 0;
  #closed = false;

  constructor(options: UpstreamClientOptions) {
    this.options = options;
  }

  get state(): PoolState {
    return {
      origin: this.options.origin,
      open: [...this.#lines].filter(({ open }) => open).length,
      busy: this.#short.size,
      long: this.#long.size,
      waiting: this.#waiting.length,
      turnedAway: this.#turnedAway,
    };
  }

  dispatch(request: UpstreamRequest, reader: ResponseReader, long = false): void {
    if (this.#closed) throw new Interrupted('closed');
    // What cannot be written is refused here, before undici looks at it.
    writeHead(request);
    const exchange = new UndiciExchange(this, request, reader);
    if (long) {
      if (!this.mayLast(exchange)) {
        this.turnedAway();
        throw new Interrupted(LONG_FULL);
      }
      exchange.long = true;
      exchange.start(this.#line());
    } else if (this.#short.size < this.options.connections) {
      this.#short.add(exchange);
      exchange.start(this.#line());
    } else {
      this.#waiting.push(exchange);
      const late = (): Interrupted => {
        this.turnedAway();
        return new Interrupted(QUEUE_TIMEOUT);
      };
      reader.onWait({ cancel: () => this.#leave(exchange), late }, this.options.queueTimeout);
    }
  }

  close(): void {
    this.#closed = true;
    for (const exchange of this.#waiting.splice(0)) exchange.reader.onError(new Interrupted('closed'));
    for (const exchange of [...this.#short, ...this.#long]) exchange.abort(new Interrupted('closed'));
    for (const { client } of this.#lines) void client.destroy();
  }

  /** @returns false where as many exchanges last as may */
  mayLast(exchange: UndiciExchange): boolean {
    if (this.#long.size >= this.options.longExchanges) return false;
    this.#long.add(exchange);
    if (this.#short.delete(exchange)) this.#refill();
    return true;
  }

  turnedAway(): void {
    this.#turnedAway++;
  }

  over(exchange: UndiciExchange, line: Line): void {
    this.#short.delete(exchange);
    this.#long.delete(exchange);
    this.#idle.push(line);
    this.#refill();
  }

  #leave(exchange: UndiciExchange): void {
    const at = this.#waiting.indexOf(exchange);
    if (at !== -1) this.#waiting.splice(at, 1);
  }

  #refill(): void {
    if (this.#closed || this.#short.size >= this.options.connections) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#short.add(next);
    next.start(this.#line());
  }

  #line(): Line {
    const open = this.#idle.findLastIndex((each) => each.open);
    const idle = open === -1 ? this.#idle.pop() : this.#idle.splice(open, 1)[0];
    if (idle !== undefined) return idle;
    const { origin, connector, idleTimeout, maxHeadBytes } = this.options;
    const client = new Client(origin, {
      connect: connector(),
      pipelining: 1,
      bodyTimeout: idleTimeout,
      maxHeaderSize: maxHeadBytes,
      keepAliveTimeout: 4_000,
    });
    const line: Line = { client, open: false, used: false };
    client.on('connect', () => {
      line.open = true;
      line.used = false;
    });
    client.on('disconnect', () => {
      line.open = false;
    });
    this.#lines.add(line);
    return line;
  }
}

/** One request, as undici's handler on one side and as a connection for the reader on the other. */
class UndiciExchange implements UpstreamConnection, Dispatcher.DispatchHandler {
  readonly reader: ResponseReader;
  long = false;
  readonly #owner: UndiciClient;
  readonly #request: UpstreamRequest;
  #line: Line | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #cancelled = false;
  #over = false;
  #again = false;
  /** Whether anything of the answer has come. */
  #answered = false;
  #grace: NodeJS.Timeout | undefined;

  constructor(owner: UndiciClient, request: UpstreamRequest, reader: ResponseReader) {
    this.#owner = owner;
    this.#request = request;
    this.reader = reader;
  }

  start(line: Line): void {
    this.#line = line;
    const { method, path, fields, body, length, timeout, upgrade } = this.#request;
    const late = (): Interrupted => new Interrupted(HEAD_TIMEOUT);
    this.reader.onWait({ cancel: () => this.#cancel(), late }, timeout);
    const headers = body !== undefined && length !== undefined ? ['content-length', String(length)] : [];
    line.client.dispatch(
      {
        method: method as Dispatcher.HttpMethod,
        path,
        headers: [...fields, ...headers],
        body: body ?? null,
        headersTimeout: timeout,
        ...(upgrade === undefined ? {} : { upgrade: upgrade.protocol }),
      },
      this,
    );
  }

  #cancel(): void {
    this.#cancelled = true;
    this.#controller?.abort(new Interrupted('cancelled'));
  }

  abort(error: Error): void {
    if (this.#over) return;
    this.#end();
    this.#controller?.abort(error);
    this.reader.onError(error);
  }

  resume(): void {
    this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#cancelled) controller.abort(new Interrupted('cancelled'));
    else this.reader.onStart(this);
  }

  onRequestUpgrade(
    { rawHeaders }: Dispatcher.DispatchController,
    status: number,
    _headers: IncomingHttpHeaders,
    duplex: Duplex,
  ): void {
    const { upgrade } = this.#request;
    if (upgrade === undefined) throw new InvalidResponse('101 to a request without Upgrade');
    const socket = duplex as Parameters<typeof upgrade.accept>[1];
    socket.on('error', () => {});
    if (!this.long && !this.#owner.mayLast(this)) throw this.#turnAway(true);
    const take = upgrade.accept(headOf(status, rawHeaders), socket, Buffer.alloc(0));
    socket.on('data', take);
    // It stays among those that last until its socket is closed.
    const line = this.#line as Line;
    this.#over = true;
    socket.once('close', () => this.#owner.over(this, line));
  }

  onResponseStart({ rawHeaders }: Dispatcher.DispatchController, status: number): void {
    this.#answered = true;
    if (this.#over) return;
    const head = headOf(status, rawHeaders);
    if (status === 103) this.reader.onEarlyHints(head);
    if (status < 200) return;
    this.#request.body?.allowAnyRate();
    if (head.endless && this.#request.method !== 'HEAD') this.#last(true);
    if (!this.#over) this.reader.onHead(head);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return;
    if (!this.reader.onData(chunk)) controller.pause();
    // An answer that ends with these bytes has ended by then.
    if (!this.long) setImmediate(() => this.#last(false));
  }

  onResponseEnd({ rawTrailers }: Dispatcher.DispatchController): void {
    if (this.#over) return;
    this.#end();
    this.reader.onEnd(texts(rawTrailers));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return;
    const line = this.#line as Line;
    const own = translated(error);
    const { code } = own as { code?: string };
    const left = code === CLOSED || code === 'ECONNRESET' || code === 'EPIPE';
    if (left && line.used && !this.#answered && !this.#again && mayRepeat(this.#request)) {
      this.#again = true;
      this.start(line);
      return;
    }
    this.#end();
    if (!this.#cancelled) this.reader.onError(own);
  }

  /** The answer is not over with what has come of it. */
  #last(endless: boolean): void {
    if (this.#over || this.long) return;
    const mayLast = this.reader.mayLast();
    if (mayLast && this.#owner.mayLast(this)) {
      this.long = true;
      clearTimeout(this.#grace);
      this.reader.onLong();
    } else if (endless) this.abort(this.#turnAway(mayLast));
    else this.#grace ??= setTimeout(() => this.abort(this.#turnAway(mayLast)), GRACE).unref();
  }

  #turnAway(mayLast: boolean): Interrupted {
    if (mayLast) this.#owner.turnedAway();
    return new Interrupted(mayLast ? LONG_FULL : CLIENT_SHARE);
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#grace);
    const line = this.#line as Line;
    line.used = true;
    this.#owner.over(this, line);
  }
}

const CODES: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_TIMEOUT: HEAD_TIMEOUT,
  UND_ERR_BODY_TIMEOUT: BODY_TIMEOUT,
  UND_ERR_SOCKET: CLOSED,
  UND_ERR_INFO: CLOSED,
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: 'upload_cut',
};

/** An error of undici's in the words of the interface. */
function translated(error: Error & { code?: string }): Error {
  const { code = '' } = error;
  if (CODES[code] !== undefined) return new Interrupted(CODES[code]);
  if (code === 'UND_ERR_HEADERS_OVERFLOW')
    return new InvalidResponse('a head larger than forward.maxResponseHeaderBytes');
  if (error.name === 'HTTPParserError' || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH')
    return new InvalidResponse(`${error.name} ${code}`);
  return error;
}

function texts(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  return (
    (raw as (Buffer | string)[] | null | undefined)?.map((each) => each.toString('latin1' as never)) ?? []
  );
}

function headOf(status: number, raw: Dispatcher.DispatchController['rawHeaders']): ResponseHead {
  const fields = texts(raw);
  const names = fields.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  const fieldOf = (name: string): string | undefined => fields[2 * names.indexOf(name) + 1];
  const length = names.includes('content-length') ? Number(fieldOf('content-length')) : undefined;
  return {
    status,
    fields,
    names,
    length,
    chunked: names.includes('transfer-encoding'),
    // undici does not tell whether the answer is one of HTTP/1.0.
    persistent: !names.includes('connection') || !/\bclose\b/i.test(fieldOf('connection') ?? ''),
    endless: names.includes('content-type') && /^text\/event-stream\b/i.test(fieldOf('content-type') ?? ''),
    keepAlive: undefined,
  };
}
