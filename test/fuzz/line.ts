import { connect, type Socket } from 'node:net';
import { parseAnswers, type WireAnswer } from '../wire.js';
import { type Reading, type StrictRequest, values } from './strict.js';

/** Fields no client may get through. */
export const UNWANTED =
  /_|^(?:x-user|x-user-id|x-real-ip|x-original-url|x-http-method-override|x-forwarded-user|te|trailer|keep-alive|http2-settings|proxy-connection|proxy-authorization|expect)$/;
/** Methods that the gateway's parser knows and that leave the connection as it is. */
const USUAL: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** How long nothing must happen before a connection is given up that the strict reading expects nothing from, in milliseconds. */
const QUIET = 40;
/** How long a connection may stay without its answers, or open after a fault; beyond every timeout of the gateway. */
const PATIENCE = 9_000;

/** One client connection, used again as long as it is clean. */
export class Line {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  closed = false;
  /** Whether the last answer said that the connection ends. */
  last = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    socket.on('error', () => {});
    socket.on('end', () => this.#end());
    socket.on('close', () => this.#end());
  }

  static async open(port: number, localAddress: string): Promise<Line> {
    const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    const line = new Line(socket);
    await new Promise<void>((resolve) => {
      socket.once('connect', resolve);
      socket.once('close', () => resolve());
    });
    return line;
  }

  /** Sends one case and waits for what must come of it; says what should not have come. */
  async exchange(
    bytes: Buffer,
    split: number,
    reading: Reading,
    patient: boolean,
    intact: boolean,
    statuses: Record<string, number>,
  ): Promise<string | undefined> {
    this.#received = Buffer.alloc(0);
    const { requests, partial, rest } = reading;
    const methods = [...requests, ...(partial === undefined ? [] : [partial])].map(({ method }) => method);
    const tunnel = requests.some(isHandshake);
    this.#socket.write(bytes.subarray(0, split));
    if (split < bytes.length) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#socket.write(bytes.subarray(split));
    }
    const deadline = performance.now() + PATIENCE;
    let answers: WireAnswer[] = [];
    for (;;) {
      answers = parseAnswers(this.#received, methods);
      if (this.closed || tunnel) break;
      const missing = answers.length < requests.length;
      if (!missing && rest === 'clean') break;
      const wait = missing || (patient && rest === 'broken') ? deadline - performance.now() : QUIET;
      if (wait <= 0)
        return `no answer within ${PATIENCE} ms: ${answers.length} of ${requests.length}, then ${rest}`;
      if (!(await this.#change(wait)) && !missing && !(patient && rest === 'broken')) break;
    }
    if (tunnel) {
      await this.#change(QUIET);
      this.destroy();
      return undefined;
    }
    for (const { status } of answers) statuses[status] = (statuses[status] ?? 0) + 1;
    const ends = answers.some(({ headers }) => headers.get('connection')?.includes('close') === true);
    this.last = ends;
    if (intact && answers.length < requests.length && !ends && methods.every((method) => USUAL.has(method))) {
      return `${answers.length} answers to ${requests.length} good requests`;
    }
    return misanswered(answers, reading, this.#received);
  }

  /** Whether anything came within the time. */
  #change(time: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(false), time);
      const done = (changed: boolean): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve(changed);
      };
      this.#wake = () => done(true);
    });
  }

  #end(): void {
    this.closed = true;
    this.#wake?.();
  }

  shown(): string {
    return show(this.#received);
  }

  destroy(): void {
    // A reset leaves no port behind that waits for its time. Node cannot reset what is shutting down already.
    if (this.closed) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
    this.closed = true;
  }
}

function isHandshake({ fields }: StrictRequest): boolean {
  return (
    values(fields, 'upgrade').some((value) => value.toLowerCase() === 'websocket') &&
    values(fields, 'sec-websocket-key').length > 0
  );
}

/** Why answers are not those of the requests they follow. */
function misanswered(
  answers: readonly WireAnswer[],
  { requests, partial, rest }: Reading,
  raw: Buffer,
): string | undefined {
  if (raw.length > 0 && !/^HTTP\/1\.1 \d{3} /.test(raw.toString('latin1', 0, 13)))
    return 'an answer that is no HTTP';
  const most = requests.length + (rest === 'clean' ? 0 : 1);
  if (answers.length > most) return `${answers.length} answers to ${most} requests`;
  for (const [i, { status, headers, body }] of answers.entries()) {
    const request = requests[i] ?? partial;
    if (status >= 400) continue;
    if (request === undefined) return `a ${status} to what is no request`;
    const token = headers.get('x-answer')?.join();
    if (token === undefined || !values(request.fields, 'authorization').includes(token)) {
      return `the answer to ${token} in place of another one`;
    }
    if (status === 200 && body.toString() !== (request.method === 'HEAD' ? '' : 'ok'))
      return `the body ${show(body)}`;
  }
  return undefined;
}

export function show(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1'));
}
