import t from 'tap';
import { reclaim } from '../../src/proxy/garbage-collection.js';

const MIB = 1_048_576;

/** Where V8 is not left to itself. */
const ABLE = Number.parseInt(process.versions.v8, 10) >= 13;

t.test('of pieces that are not needed any more little is held', (t) => {
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let i = 0; i < 2_000; i++) {
    reclaim(Buffer.alloc(65_536, i).length);
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  t.ok(most < (ABLE ? 36 : 80) * MIB, `${(most / MIB).toFixed(1)} of 125 MiB`);
  t.end();
});

t.test('a piece that is still needed stays as it is', (t) => {
  const pieces = Array.from({ length: 400 }, (_, i) => Buffer.alloc(65_536, i));
  for (const piece of pieces) reclaim(piece.length);
  t.ok(pieces.every((piece, i) => piece.equals(Buffer.alloc(65_536, i))));
  t.end();
});
