import type { Test } from 'tap';
import { ask, type Reply } from '../ask.js';
import { type FakeClock, fakeClock } from '../clock.js';
import { apiRule, startTestGateway, type TestGateway } from '../gateway.js';

const RULES = apiRule(
  'gate.example',
  Object.entries({
    '/any': {},
    '/read': { required_scope: ['read'] },
    '/write': { required_scope: ['write'] },
    '/aud': { target_audience: ['api'] },
    '/iss': { trusted_issuers: ['https://as.example'] },
  }).map(([path, config]) => ({
    path,
    methods: ['GET'],
    accessStrategies: [{ handler: 'oauth2_introspection', config }],
  })),
);

type Tokens = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/**
 * Starts a gateway with a rule for each requirement of a token.
 *
 * @param introspection settings laid over the defaults
 */
export async function start(
  t: Test,
  tokens: Tokens = {},
  introspection: object = {},
): Promise<{ gate: TestGateway; clock: FakeClock }> {
  const clock = fakeClock();
  const gate = await startTestGateway(t, { clock, rules: RULES, tokens, settings: { introspection } });
  return { gate, clock };
}

/** Answers every introspection with this JSON text. */
export function answering(gate: TestGateway, text: string): void {
  gate.endpoint.fault = (_message, response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(text);
}

/** The status of a request with a token. */
export async function status(gate: TestGateway, path: string, token = 't'): Promise<number> {
  return (await ask(gate, path, { token })).status;
}

/** Checks that a reply is 401 `invalid_token`. */
export function isInvalidToken(t: Test, reply: Reply, what: string): void {
  t.equal(reply.status, 401, what);
  t.match(reply.headers['www-authenticate'], /error="invalid_token"/, what);
}
