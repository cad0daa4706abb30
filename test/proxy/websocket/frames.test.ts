import fc from 'fast-check';
import t from 'tap';
import { closeFrame, FrameTracker } from '../../../src/proxy/websocket/frames.js';
import { CLOSE, type FrameOptions, frame, PING, readFrames } from './frame.js';

/** Any frame there can be: every opcode and reserved bit, masked or not, lengths as short as they can be or not. */
const anyFrame = fc
  .record({
    opcode: fc.integer({ min: 0, max: 15 }).filter((opcode) => opcode !== CLOSE),
    fin: fc.boolean(),
    reserved: fc.integer({ min: 0, max: 7 }),
    masked: fc.boolean(),
    length: fc.oneof(
      fc.integer({ min: 0, max: 130 }),
      fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536, 70_000),
    ),
    longer: fc.integer({ min: 0, max: 2 }),
  })
  .map(({ length, longer, ...options }) => {
    const needed = length < 126 ? 0 : length < 65_536 ? 1 : 2;
    const lengthBytes = [0, 2, 8][Math.max(needed, longer)] as NonNullable<FrameOptions['lengthBytes']>;
    return frame(Buffer.alloc(length, 0xff), { ...options, lengthBytes });
  });

/** Cuts bytes into pieces; what remains after the last cut is one piece. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= bytes.length) break;
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  if (at < bytes.length) pieces.push(bytes.subarray(at));
  return pieces;
}

/** Where frames end, as a tracker says that is given the bytes in pieces. */
function endsOf(pieces: readonly Buffer[]): number[] {
  const tracker = new FrameTracker();
  const ends: number[] = [];
  let at = 0;
  for (const piece of pieces) {
    let rest = piece;
    while (rest.length > 0) {
      const count = tracker.read(rest, true);
      at += count;
      rest = rest.subarray(count);
      if (tracker.between) ends.push(at);
    }
  }
  return ends;
}

t.test('frames end where they end, however the bytes are cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(anyFrame, { minLength: 1, maxLength: 8 }),
      fc.array(
        fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 70_000 })),
        {
          maxLength: 400,
        },
      ),
      (frames, sizes) => {
        let at = 0;
        const expected = frames.map(({ length }) => {
          at += length;
          return at;
        });
        t.same(endsOf(cut(Buffer.concat(frames), sizes)), expected);
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});

t.test('byte by byte as well, and without stops all is read', (t) => {
  const frames = [
    frame(''),
    frame('a', { masked: true }),
    frame(Buffer.alloc(300)),
    frame('', { masked: true }),
  ];
  const bytes = Buffer.concat(frames);
  t.same(endsOf([...bytes].map((byte) => Buffer.from([byte]))), [2, 9, 313, 319]);
  const tracker = new FrameTracker();
  t.equal(tracker.read(bytes), bytes.length);
  t.ok(tracker.between);
  t.equal(tracker.read(bytes.subarray(0, 1)), 1);
  t.notOk(tracker.between, 'one byte of a header is the begin of a frame');
  t.end();
});

t.test('a Close counts when it is whole', (t) => {
  const bytes = Buffer.concat([
    frame('x'),
    frame('y', { opcode: PING }),
    frame('\x03\xe8bye', { opcode: CLOSE, masked: true }),
  ]);
  const tracker = new FrameTracker();
  for (const byte of bytes) {
    t.notOk(tracker.closed);
    tracker.read(Buffer.from([byte]));
  }
  t.ok(tracker.closed);
  t.notOk(tracker.lost);
  const bare = new FrameTracker();
  bare.read(frame('', { opcode: CLOSE }));
  t.ok(bare.closed, 'without a status code, too');
  t.end();
});

t.test('a length that no frame has loses the framing, and nothing else', (t) => {
  const broken = Buffer.concat([frame('x'), Buffer.from([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 1]), frame('y')]);
  const tracker = new FrameTracker();
  t.equal(tracker.read(broken.subarray(0, 6)), 6);
  t.notOk(tracker.lost);
  t.equal(tracker.read(broken.subarray(6)), broken.length - 6, 'the endpoints get all of it');
  t.match(tracker, { lost: true, between: false, closed: false });
  t.equal(tracker.read(frame('z'), true), 0, 'a stop is a stop at once');
  t.end();
});

t.test('a length of 63 bits is one', (t) => {
  const tracker = new FrameTracker();
  tracker.read(Buffer.from([0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
  tracker.read(Buffer.alloc(100_000));
  t.match(tracker, { lost: false, between: false });
  t.end();
});

t.test('the Close frame that is sent', (t) => {
  for (const masked of [false, true]) {
    const { frames, rest } = readFrames(closeFrame(1008, 'token expired', masked));
    t.equal(rest.length, 0);
    t.match(frames, [{ opcode: CLOSE, fin: true, masked, code: 1008, reason: 'token expired' }]);
  }
  t.throws(() => closeFrame(1008, 'x'.repeat(124), false), RangeError);
  const keys = new Set(Array.from({ length: 20 }, () => closeFrame(1001, 'a', true).toString('hex', 2, 6)));
  t.ok(keys.size > 1, 'each with a masking key of its own (RFC 6455 §5.3)');
  t.end();
});
