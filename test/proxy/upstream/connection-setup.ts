import { Duplex } from 'node:stream';
import type { ResponseReader } from '../../../src/proxy/upstream/client.js';
import { Connection, type Owner } from '../../../src/proxy/upstream/connection.js';
import type { UpstreamRequest } from '../../../src/proxy/upstream/request-head.js';
import type { Scope } from '../../gateway.js';
import { fakeTime, turn } from './fake-time.js';

export const HEAD = 'GET / HTTP/1.1\r\n\r\n';
export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi';
export const IDLE = 1_000;
export const MAX_HEAD = 200;

/** A socket that shows what is written to it, and takes no more while it is full. */
export class FakeSocket extends Duplex {
  written = '';
  /** What was written at once. */
  readonly batches: string[] = [];
  full = false;
  resumed = 0;
  #taken: (() => void) | undefined;
  constructor() {
    super({ writableHighWaterMark: 1 });
  }
  override _read(): void {}
  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.written += piece.toString('latin1');
    if (this.full) this.#taken = done;
    else done();
  }
  override _writev(pieces: { chunk: Buffer }[], done: () => void): void {
    const batch = Buffer.concat(pieces.map(({ chunk }) => chunk));
    this.batches.push(batch.toString('latin1'));
    this._write(batch, '', done);
  }
  override resume(): this {
    this.resumed++;
    return super.resume();
  }
  takeMore(): void {
    this.full = false;
    this.#taken?.();
  }
}

export function setUp(t: Scope) {
  const time = fakeTime(t);
  const socket = new FakeSocket();
  const told: string[] = [];
  const owned = { room: true, again: 0, turnedAway: 0, free: 0, gone: 0, lasts: 0 };
  const owner: Owner = {
    again: () => owned.again++,
    lasts: () => {
      owned.lasts++;
      return owned.room;
    },
    turnedAway: () => owned.turnedAway++,
    free: () => owned.free++,
    gone: () => owned.gone++,
  };
  const connection = new Connection(socket as never, { idleTimeout: IDLE, maxHeadBytes: MAX_HEAD }, owner);
  const reader: ResponseReader & { pauses: boolean; share: boolean } = {
    pauses: false,
    share: true,
    mayLast() {
      return this.share;
    },
    onWait: () => {},
    onStart: () => told.push('start'),
    onEarlyHints: ({ status }) => told.push(`early ${status}`),
    onHead: ({ status }) => told.push(`head ${status}`),
    onLong: () => told.push('long'),
    onData(piece: Buffer) {
      told.push(`data ${piece}`);
      return !this.pauses;
    },
    onEnd: (trailers) => told.push(['end', ...trailers].join(' ')),
    onError: (error: Error & { code?: string }) => told.push(`error ${error.code}`),
  };
  return {
    time,
    socket,
    owned,
    connection,
    reader,
    send(request: Partial<UpstreamRequest> = {}): void {
      const get = { method: 'GET', path: '/', fields: [], body: undefined, length: undefined, timeout: 500 };
      connection.send(HEAD, { ...get, ...request }, reader, false);
    },
    read: (text: string): boolean => connection.read(Buffer.from(text, 'latin1')),
    /** What the reader was told since this was asked the last time. */
    told: (): string[] => told.splice(0),
    async late(milliseconds: number): Promise<string[]> {
      time.advance(milliseconds);
      await turn();
      return told.splice(0);
    },
  };
}

export const WHOLE = ['start', 'head 200', 'data hi', 'end'];
