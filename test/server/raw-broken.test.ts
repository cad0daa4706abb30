import t from 'tap';
import { startTestGateway } from '../gateway.js';
import { sendRaw } from '../wire.js';

const POST =
  'POST /post HTTP/1.1\r\nHost: gate.example\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer ';

t.test('a body that breaks behind its answer gets no second answer', async (t) => {
  const gate = await startTestGateway(t);
  for (const token of ['nobody', 'good-read']) {
    for (const chunk of ['1\r\nab\r\n', 'x\r\n', '5\nhello', '-1\r\n']) {
      const { answers, closed } = await sendRaw(gate.port, `${POST}${token}\r\n\r\n${chunk}0\r\n\r\n`, {
        answers: 2,
      });
      t.ok(answers.length <= 1, `${token} ${JSON.stringify(chunk)}: ${answers.map(({ status }) => status)}`);
      t.ok(closed, 'the connection ends');
    }
  }
  // The same in two packets, so that the answer is certainly there before the fault.
  const { answers, closed } = await sendRaw(gate.port, `${POST}nobody\r\n\r\n5\r\nhel`, {
    answers: 2,
    afterwards: 'loX\r\n0\r\n\r\n',
  });
  t.equal(answers.length, 1);
  t.ok(closed);
});
