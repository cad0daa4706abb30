import t from 'tap';
import { startTestGateway } from '../gateway.js';
import { vectors } from '../vectors.js';
import { sendRaw, sendUnhurried, type WireResult } from '../wire.js';

interface Case {
  readonly id: string;
  readonly category: string;
  readonly note: string;
  readonly raw_b64: string;
  readonly expect: {
    readonly action: 'reject' | 'forward';
    readonly status: readonly number[] | null;
    readonly close_connection: boolean;
    readonly max_upstream_requests: number;
    readonly may_reject?: boolean;
  };
}

const LAST = 'DELETE /last HTTP/1.1\r\nHost: gate.example\r\n\r\n';

const { cases } = vectors('raw-requests') as { cases: Case[] };

t.test('every raw request of the vectors through a real socket', { jobs: 1 }, async (t) => {
  const gate = await startTestGateway(t, { settings: { server: { headersTimeout: '200ms' } } });
  for (const { id, category, note, raw_b64, expect } of cases) {
    await t.test(`${id} ${category}: ${note}`, async (t) => {
      const { received } = gate.upstream;
      const raw = Buffer.from(raw_b64, 'base64');
      const methods = raw.toString('latin1').match(/^[A-Z]+(?= \S+ HTTP\/1\.1\r$)/gm) ?? [];
      const forwards = expect.action === 'forward';
      // Of what looks like more requests than there are, the answers would come before that of a last one.
      const disguised = forwards && note.includes('looks like a request');
      const send = (): Promise<WireResult> => {
        received.length = 0;
        gate.endpoint.asked.length = 0;
        return sendRaw(gate.port, raw, {
          answers: forwards ? methods.length : 1,
          methods: disguised ? [] : methods,
          ...(disguised && { afterwards: LAST }),
          end: category === 'chunked' && note.includes('then close'),
        });
      };
      const result = await sendUnhurried(send);

      const whole = received.filter(({ complete }) => complete);
      const statuses = result.answers.map(({ status }) => status);
      if (disguised) t.equal(statuses.pop(), 404, 'the last one is answered as itself');
      t.ok(whole.length <= expect.max_upstream_requests, `${whole.length} requests reached the upstream`);
      t.ok(
        received.every(({ headers }) => headers.authorization !== undefined || headers.via !== undefined),
        'the upstream got nothing that the gateway did not forward',
      );
      if (expect.action === 'reject') {
        t.equal(whole.length, 0, 'nothing whole reached the upstream');
        t.ok(
          statuses.every((status) => status >= 400),
          `answers ${statuses}`,
        );
        t.ok(statuses.length > 0 || result.closed, 'answered or closed');
        if (expect.status !== null && statuses[0] !== undefined && category !== 'chunked') {
          t.ok(
            expect.status.includes(statuses[0]) || [401, 400].includes(statuses[0]),
            `status ${statuses[0]} of ${expect.status}`,
          );
        }
      } else if (expect.may_reject === true && (statuses[0] ?? 400) >= 400) {
        t.equal(whole.length, 0, 'refused and not forwarded');
      } else {
        t.equal(
          statuses.filter((status) => status === 200).length,
          expect.max_upstream_requests,
          'answered by the upstream',
        );
        t.equal(whole.length, expect.max_upstream_requests);
      }
      for (const { headers, rawHeaders } of received) {
        const names = rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
        t.equal(names.filter((name) => name === 'host').length, 1, 'one Host');
        t.notMatch(headers.host, /evil/);
        for (const name of [
          'x-user',
          'keep-alive',
          'te',
          'upgrade',
          'trailer',
          'x-http-method-override',
          'x-method-override',
        ]) {
          t.notOk(names.includes(name), `${name} is not forwarded`);
        }
        t.equal(headers['x-forwarded-for'], '127.0.0.1');
        t.equal(headers['x-forwarded-proto'], 'http');
        t.match(headers['x-forwarded-host'], /^gate\.example/);
        t.notMatch(headers.forwarded, /evil/);
      }
      t.ok(
        gate.endpoint.asked.every((token) => /^good-(read|write|admin)$/.test(token)),
        'only plain tokens are asked about',
      );
    });
  }
});
