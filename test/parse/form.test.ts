import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { readFields } from '../../src/parse/fields.js';
import { formLength, holdBody, MAX_FORM_BYTES } from '../../src/parse/form.js';

const FORM = 'application/x-www-form-urlencoded';

function lengthOf(method: string, fields: Readonly<Record<string, string>>): number | undefined {
  const read = readFields(['Host', 'h', ...Object.entries(fields).flat()], '1.1');
  if ('refused' in read) throw new Error(read.refused);
  return formLength(method, read);
}

t.test('a form is looked into where it is one, whole and of a bounded length', async (t) => {
  const good = { 'Content-Type': FORM, 'Content-Length': '5' };
  for (const method of ['POST', 'PUT', 'PATCH']) t.equal(lengthOf(method, good), 5, method);
  for (const method of ['GET', 'DELETE', 'QUERY', 'post']) t.equal(lengthOf(method, good), undefined, method);
  for (const type of [`${FORM}; charset=utf-8`, `${FORM};charset="US-ASCII"`, FORM.toUpperCase()])
    t.equal(lengthOf('POST', { ...good, 'Content-Type': type }), 5, type);
  for (const type of [
    '',
    'text/plain',
    `${FORM}; charset=utf-16`,
    `${FORM}; charset=utf-8; x=y`,
    `x${FORM}`,
    `${FORM}x`,
    `text/plain, ${FORM}`,
  ])
    t.equal(lengthOf('POST', { ...good, 'Content-Type': type }), undefined, type);
  for (const [length, expected] of [
    ['0', undefined],
    ['1', 1],
    [`${MAX_FORM_BYTES}`, MAX_FORM_BYTES],
    [`${MAX_FORM_BYTES + 1}`, undefined],
  ] as const)
    t.equal(lengthOf('POST', { ...good, 'Content-Length': length }), expected, length);
  t.equal(lengthOf('POST', { 'Content-Type': FORM }), undefined, 'of no length');
  t.equal(lengthOf('POST', { 'Content-Type': FORM, 'Transfer-Encoding': 'chunked' }), undefined);
  t.equal(lengthOf('POST', { ...good, 'Content-Encoding': 'gzip' }), undefined);
  t.equal(lengthOf('POST', { ...good, Expect: '100-continue' }), undefined, 'it is held back');
  t.equal(lengthOf('POST', { ...good, 'content-type': FORM }), undefined, 'two types');
});

t.test('a body that was read is there for whoever reads it next', async (t) => {
  const pieces = ['ab', 'cd', 'e'];
  const message = Readable.from(
    pieces.map((piece) => Buffer.from(piece)),
    { objectMode: false },
  );
  t.equal((await holdBody(message, 5))?.toString(), 'abcde');
  t.equal(await text(message), 'abcde');

  const slow = new Readable({ read() {} });
  const held = holdBody(slow, 5);
  for (const piece of pieces) slow.push(piece);
  t.equal((await held)?.toString(), 'abcde', 'in pieces');
  slow.push(null);
  t.equal(await text(slow), 'abcde');
});

t.test('a body that does not come whole is none', async (t) => {
  for (const end of ['end', 'destroy', 'error'] as const) {
    const message = new Readable({ read() {} });
    message.on('error', () => {});
    const held = holdBody(message, 5);
    message.push('abc');
    await new Promise((resolve) => setImmediate(resolve));
    if (end === 'end') message.destroy();
    else message.destroy(end === 'error' ? new Error('reset') : undefined);
    t.equal(await held, undefined, end);
    t.equal(message.listenerCount('readable') + message.listenerCount('close'), 0, 'nobody listens any more');
  }
  const long = new Readable({ read() {} });
  const held = holdBody(long, 2);
  long.push('abc');
  t.equal(await held, undefined, 'longer than it said');
});
