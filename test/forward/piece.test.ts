import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import t from 'tap';
import { freeing as freeingOf } from '../../src/forward/piece.js';

const MESSAGE = new IncomingMessage(new Socket());
const freeing = (piece: Buffer) => freeingOf(piece, MESSAGE);

/** Whether this Node can take memory back. */
const ABLE = 'transfer' in ArrayBuffer.prototype;

t.test('a piece that has its memory to itself is given back once it has been written', (t) => {
  const piece = Buffer.alloc(65_536, 'a');
  const written = freeing(piece);
  t.equal(written !== undefined, ABLE);
  t.equal(piece.length, 65_536, 'not before');
  written?.();
  t.equal(piece.length, ABLE ? 0 : 65_536);
  t.doesNotThrow(() => written?.(null), 'twice is once');
  t.end();
});

t.test('a piece that was not written stays', (t) => {
  const piece = Buffer.alloc(65_536, 'a');
  freeing(piece)?.(new Error('EPIPE'));
  t.ok(piece.equals(Buffer.alloc(65_536, 'a')));
  t.end();
});

t.test('memory that others may have a part of is never given back', (t) => {
  const memory = Buffer.alloc(65_536);
  t.equal(freeing(memory.subarray(0, 65_535)), undefined, 'a first part');
  t.equal(freeing(memory.subarray(1)), undefined, 'a last part');
  t.equal(freeing(Buffer.from('x'.repeat(1_000))), undefined, 'the pool');
  t.equal(freeing(Buffer.from(new SharedArrayBuffer(65_536))), undefined, 'what threads share');
  const ofHttp2 = Object.assign(new IncomingMessage(new Socket()), { stream: {} });
  t.equal(freeingOf(Buffer.alloc(65_536), ofHttp2), undefined, 'what HTTP/2 has read');
  t.end();
});
