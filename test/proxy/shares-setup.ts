import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import { startTestGateway, type TestGateway } from '../gateway.js';
import { parseAnswers, type WireAnswer } from '../wire.js';
import { FORWARD_RULES } from './raw.js';

/**
 * A gateway whose upstream answers `/stream…` with events, `/part…` with the beginning of a body, `/held…` when the test
 * says so, and all else at once.
 */
export async function startHolding(
  t: Test,
  settings: Readonly<Record<string, unknown>>,
): Promise<{ readonly gate: TestGateway; readonly held: ServerResponse[] }> {
  const held: ServerResponse[] = [];
  const gate = await startTestGateway(t, {
    rules: FORWARD_RULES,
    settings,
    respond(message, response) {
      if (message.url?.startsWith('/held')) held.push(response);
      else if (message.url?.startsWith('/stream')) {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n');
      } else if (message.url?.startsWith('/part')) {
        response.writeHead(200, { 'content-length': '100000' }).write('a part of it');
      } else response.end(`served ${message.url}`);
    },
  });
  return { gate, held };
}

/** A connection, and what has come back on it. */
export interface Talk {
  readonly socket: Socket;
  heard(): string;
  /** The answers that are whole so far. */
  answers(): WireAnswer[];
}

/**
 * Opens a connection, sends bytes and collects what comes back.
 *
 * @param from the client's address; the whole of 127.0.0.0/8 is this machine
 */
export async function talk(t: Test, gate: TestGateway, bytes: string, from = '127.0.0.1'): Promise<Talk> {
  const socket = connect({ host: '127.0.0.1', port: gate.port, localAddress: from });
  socket.on('error', () => {});
  t.teardown(() => socket.destroy());
  await once(socket, 'connect');
  let heard = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    heard += text;
  });
  socket.write(bytes);
  return { socket, heard: () => heard, answers: () => parseAnswers(Buffer.from(heard, 'latin1')) };
}

/** A sample of `/metrics`, by the beginning of its line. */
export async function metric(gate: TestGateway, name: string): Promise<number> {
  const text = await (await fetch(`${gate.adminUrl}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(name))
      ?.split(' ')
      .at(-1),
  );
}
