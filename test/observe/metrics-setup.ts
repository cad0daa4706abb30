import { request } from 'undici';
import { ask } from '../ask.js';
import type { TestGateway } from '../gateway.js';
import { sendRaw } from '../wire.js';
import { readExposition } from './exposition.js';

export async function scrape(gate: TestGateway) {
  const answer = await request(`${gate.adminUrl}/metrics`);
  const text = await answer.body.text();
  const { samples, types } = readExposition(text);
  /** The sum of the samples of a name that have these labels. */
  const value = (name: string, labels: Record<string, string> = {}) =>
    samples
      .filter((sample) => sample.name === name)
      .filter((sample) => Object.entries(labels).every(([label, wanted]) => sample.labels[label] === wanted))
      .reduce((total, sample) => total + sample.value, 0);
  return { text, samples, types, value, contentType: answer.headers['content-type'] };
}

/** Every kind of request there is. */
export async function traffic(gate: TestGateway): Promise<void> {
  for (let i = 0; i < 3; i++) await ask(gate, '/headers', { token: 'good-read' });
  for (let i = 0; i < 2; i++) await ask(gate, '/headers', { token: 'unknown' });
  await ask(gate, '/headers');
  await ask(gate, '/headers', { token: 'good-write' });
  await ask(gate, '/post', { method: 'POST', token: 'good-write', body: 'x' });
  await ask(gate, '/nowhere', { method: 'DELETE' });
  await ask(gate, '/a%2fb', { token: 'good-read' });
  await sendRaw(
    gate.adminPort,
    'GET /decisions/headers HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer good-read\r\n\r\n',
  );
  gate.endpoint.fault = (_message, response) => response.writeHead(500).end();
  await ask(gate, '/headers', { token: 'fresh' });
  gate.endpoint.fault = undefined;
}
