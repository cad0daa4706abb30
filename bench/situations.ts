import type { Situation } from './compare.js';
import type { Contender } from './contender.js';
import type { SituationName } from './options.js';
import { TOKEN } from './token.js';

const CONNECTIONS = 64;

/** The situations in which peers stand side by side, by the name that `--only` has for them. */
export function situationsOf(seconds: number): Readonly<Partial<Record<SituationName, Situation>>> {
  const load = { connections: CONNECTIONS, duration: seconds };
  const introspecting = ({ introspects }: Contender): boolean => introspects;
  return {
    hit: { name: 'cached hit', takes: () => true, order: () => ({ ...load, token: TOKEN }) },
    miss: { name: 'miss', takes: introspecting, order: () => load },
    burst: {
      name: 'burst on one new token',
      takes: introspecting,
      order: (round) => ({
        connections: 200,
        duration: 30,
        requests: 200,
        token: `ory_at_burst${round < 0 ? `warm${-round}` : round}${'c'.repeat(60)}`,
      }),
    },
  };
}

/** The authorization server is down, beside what the same gateway does while it is there. */
export function downOf(seconds: number): Situation {
  return {
    name: 'authorization server down, breaker open',
    takes: () => true,
    order: (_round, { name }) => ({
      connections: CONNECTIONS,
      duration: seconds,
      ...(name === 'all tokens cached' ? { token: TOKEN } : {}),
    }),
  };
}

/** The contenders of {@link downOf}, all of one kind. */
export function downField(contender: Contender): Contender[] {
  const withoutServer: Contender = {
    ...contender,
    start: (surroundings) =>
      contender.start({ ...surroundings, introspectionUrl: 'http://127.0.0.1:1/introspect' }),
  };
  return [
    withoutServer,
    { ...contender, name: 'all tokens new' },
    { ...contender, name: 'all tokens cached' },
  ];
}
