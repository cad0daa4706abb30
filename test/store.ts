import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A service that rules call: a session store, a token endpoint, a hydrator. */
export interface Store {
  readonly url: string;
  /** Every call, in order. */
  readonly calls: { readonly message: IncomingMessage; readonly body: string }[];
  /** How it answers. */
  respond: (message: IncomingMessage, response: ServerResponse, body: string) => void;
  close(): Promise<void>;
}

/** Starts one on a free loopback port that answers 401 until told otherwise. */
export async function startStore(): Promise<Store> {
  const server = createServer(async (message, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    store.calls.push({ message, body });
    store.respond(message, response, body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const store: Store = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    respond: (_message, response) => response.writeHead(401).end(),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return store;
}

/** Answers with JSON. */
export function json(value: unknown, status = 200): Store['respond'] {
  return (_message, response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

/** The ways in which a service fails to answer, by name. */
export const FAULTS: Readonly<Record<string, Store['respond']>> = {
  500: (_message, response) => response.writeHead(500).end(),
  429: (_message, response) => response.writeHead(429, { 'retry-after': '9' }).end(),
  302: (_message, response) => response.writeHead(302, { location: '/login' }).end(),
  'a cut connection': (message) => message.socket.destroy(),
  nonsense: (_message, response) => response.writeHead(200).end('<html>'),
  'not UTF-8': (_message, response) => response.writeHead(200).end(Buffer.from([0x22, 0xff, 0x22])),
};
