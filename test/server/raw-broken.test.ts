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

t.test('what cannot be parsed is accounted for, once', async (t) => {
  const gate = await startTestGateway(t, { settings: { forward: { maxHeaderBytes: 4096 } } });
  const cases: [string, number, string][] = [
    ['nonsense\r\n\r\n', 400, 'malformed_request'],
    [`GET / HTTP/1.1\r\nHost: gate.example\r\nX-A: ${'a'.repeat(5000)}\r\n\r\n`, 431, 'headers_too_large'],
  ];
  for (const [bytes, status, error] of cases) {
    const before = gate.log.length;
    const { answers } = await sendRaw(gate.port, bytes, { answers: 2 });
    t.equal(answers[0]?.status, status);
    const lines = gate.log.slice(before);
    t.equal(lines.length, 1, `${error}: one line`);
    t.match(lines[0], { entrance: 'proxy', peer: '127.0.0.1', decision: 'deny', error, status });
  }
  t.match(await (await fetch(`${gate.adminUrl}/metrics`)).text(), /^scopegate_requests_in_flight 0$/m);
});
