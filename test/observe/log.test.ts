import { openSync } from 'node:fs';
import type { Logger } from 'pino';
import t from 'tap';
import { DroppedLines } from '../../src/observe/dropped-lines.js';
import { openSink } from '../../src/observe/log.js';
import { until } from '../until.js';
import { pipe } from './pipe.js';

const LINE = `${JSON.stringify({ msg: 'x'.repeat(1000) })}\n`;

t.test('a reader that falls behind costs lines, not time, and gets the next ones whole', async (t) => {
  const { writer, read } = pipe(t);
  const sink = openSink(writer, 100_000);
  for (let i = 0; i < 50; i++) {
    for (let j = 0; j < 50; j++) sink.write(LINE);
    await new Promise(setImmediate);
  }
  t.ok(sink.dropped > 1_000, `${sink.dropped} lines are dropped`);
  const told: object[] = [];
  const lines = new DroppedLines({ dropped: () => sink.dropped, hasRoom: () => sink.hasRoom }, {
    warn: (line: object) => void told.push(line),
  } as unknown as Logger);
  lines.sample();
  lines.sample();
  t.same(told, [], 'a line about it would be dropped too');
  let text = '';
  await until(() => {
    const more = read();
    text += more;
    return text.length > 0 && more === '' && text.length >= (2_500 - sink.dropped) * LINE.length;
  });
  const dropped = sink.dropped;
  t.equal(text.length, (2_500 - dropped) * LINE.length, 'all that was not dropped arrives');
  for (const line of text.trimEnd().split('\n')) JSON.parse(line);
  sink.write(LINE);
  await new Promise<void>((done) => sink.flush(done));
  t.equal(read(), LINE, 'once there is room, lines are written again');
  t.equal(sink.dropped, dropped);
  for (let i = 0; i < 3; i++) lines.sample();
  t.same(told, [{ lines: dropped }], 'once there is room, the log says once how many are missing');
});

t.test('a reader that is gone ends nothing', async (t) => {
  const { writer, closeReader } = pipe(t);
  const sink = openSink(writer);
  closeReader();
  for (let i = 0; i < 10; i++) sink.write(LINE);
  await until(() => sink.dropped === 10);
  for (let i = 0; i < 10; i++) sink.write(LINE);
  t.equal(sink.dropped, 20);
  await new Promise<void>((done) => sink.flush(done));
});

t.test('a full disk ends nothing', async () => {
  const full = openSync('/dev/full', 'w');
  const sink = openSink(full, 20_000);
  for (let i = 0; i < 100; i++) {
    sink.write(LINE);
    await new Promise(setImmediate);
  }
  await until(() => sink.dropped > 50);
  await new Promise<void>((done) => sink.flush(done));
});
