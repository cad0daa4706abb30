import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An introspection endpoint (RFC 7662) whose tokens a test dictates. */
export interface IntrospectionEndpoint {
  readonly url: string;
  /** Every token asked about, in order, as the form carried it. */
  readonly asked: string[];
  /** Every request's header fields and body, in order. */
  readonly requests: { readonly message: IncomingMessage; readonly body: string }[];
  /** What is known: token → answer without `active`; anything else is inactive. */
  readonly tokens: Map<string, Readonly<Record<string, unknown>>>;
  /** Answers every call in place of the table while set. */
  fault: ((message: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** The status of `/health/ready`, as Hydra has it; checks are not in `requests`. */
  readiness: number;
  /** Takes checks of `/health/ready` and never answers them. */
  hangReadiness: boolean;
  /** How often `/health/ready` was asked. */
  readinessChecks: number;
  /** Holds every answer back until it resolves. */
  gate: Promise<void> | undefined;
  close(): Promise<void>;
}

/** Starts one on a free loopback port. */
export async function startIntrospection(
  tokens: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {},
): Promise<IntrospectionEndpoint> {
  const server = createServer(async (message, response) => {
    if (message.url === '/health/ready') {
      endpoint.readinessChecks++;
      if (endpoint.hangReadiness) return;
      response.writeHead(endpoint.readiness, { 'content-type': 'application/json' });
      response.end(endpoint.readiness === 200 ? '{"status":"ok"}' : '{"errors":{"database":"down"}}');
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const token = new URLSearchParams(body).get('token') ?? '';
    endpoint.asked.push(token);
    endpoint.requests.push({ message, body });
    if (endpoint.gate !== undefined) await endpoint.gate;
    if (endpoint.fault !== undefined) {
      endpoint.fault(message, response);
      return;
    }
    const known = endpoint.tokens.get(token);
    const answer = known === undefined ? { active: false } : { active: true, ...known };
    response.writeHead(200, {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
    });
    response.end(JSON.stringify(answer));
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const endpoint: IntrospectionEndpoint = {
    url: `http://127.0.0.1:${port}/admin/oauth2/introspect`,
    asked: [],
    requests: [],
    tokens: new Map(Object.entries(tokens)),
    fault: undefined,
    readiness: 200,
    hangReadiness: false,
    readinessChecks: 0,
    gate: undefined,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return endpoint;
}
