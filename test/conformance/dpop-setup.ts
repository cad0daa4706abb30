import type { Test } from 'tap';
import { ask, type Question, type Reply } from '../ask.js';
import { type FakeClock, fakeClock } from '../clock.js';
import { apiRule, startTestGateway, type TestGateway } from '../gateway.js';
import { type ClientKey, makeClientKey, type ProvenRequest } from '../proof.js';

export const URI = 'http://gate.example/any';
export const key = await makeClientKey();
export const other = await makeClientKey();

export const strategy = (path: string, config: object, handler = 'oauth2_introspection') => ({
  path,
  methods: ['GET', 'POST'],
  accessStrategies: [{ handler, config }],
});

export const RULES = [
  strategy('/any', {}),
  strategy('/a/.*', {}),
  strategy('/read', { required_scope: ['read'] }),
  strategy('/only', { proof_of_possession: 'dpop' }),
  strategy('/some', { proof_of_possession: 'any' }),
  strategy('/query', { token_from: { query_parameter: 'access_token' } }),
];

export const TOKENS = {
  t: { cnf: { jkt: key.jkt }, token_type: 'DPoP' },
  typed: { cnf: { jkt: key.jkt }, token_type: 'Bearer' },
  free: {},
  unbound: { token_type: 'DPoP' },
};

export interface Started {
  readonly gate: TestGateway;
  readonly clock: FakeClock;
  /** Asks with a proof that is right but for what is laid over it. */
  readonly show: (more?: Shown) => Promise<Reply>;
}

export interface Shown {
  readonly token?: string;
  readonly by?: ClientKey;
  readonly path?: string;
  readonly request?: Partial<ProvenRequest>;
  readonly claims?: object;
  readonly header?: object;
  /** Sent in place of one made from the above. */
  readonly proof?: string;
  readonly question?: Question;
}

export async function start(t: Test, dpop: object = {}, more: object = {}): Promise<Started> {
  const clock = fakeClock();
  const gate = await startTestGateway(t, {
    clock,
    rules: apiRule('gate.example', RULES),
    tokens: TOKENS,
    settings: { realm: 'r', proof: { dpop: { enabled: true, ...dpop } }, ...more },
  });
  const show = async ({
    token = 't',
    by = key,
    path = '/any',
    request,
    claims,
    header,
    proof,
    question,
  }: Shown = {}) => {
    const uri = `http://gate.example${path}`;
    const made = proof ?? (await by.prove({ uri, token, now: clock.wall(), ...request }, claims, header));
    const headers = { authorization: `DPoP ${token}`, dpop: made, ...question?.headers };
    return ask(gate, path, { ...question, headers });
  };
  return { gate, clock, show };
}
