import type { Situation } from './compare.js';
import type { Contender } from './contender.js';
import type { SituationName } from './options.js';
import { median, type Results } from './report.js';
import { NARROW, TOKEN } from './token.js';

const CONNECTIONS = 64;

/** The situations in which peers stand side by side, by the name that `--only` has for them. */
export function situationsOf(seconds: number): Readonly<Partial<Record<SituationName, Situation>>> {
  const load = { connections: CONNECTIONS, duration: seconds };
  const introspecting = ({ introspects }: Contender): boolean => introspects;
  const peer = ({ plugin }: Contender): boolean => plugin !== true;
  const introspectingPeer = (one: Contender): boolean => introspecting(one) && peer(one);
  return {
    hit: { name: 'cached hit', takes: () => true, order: () => ({ ...load, token: TOKEN }) },
    miss: { name: 'miss', takes: introspecting, order: () => load },
    mixed: {
      name: 'mixed: every twentieth token new',
      takes: introspectingPeer,
      order: () => ({ ...load, token: TOKEN, freshEvery: 20 }),
    },
    denial: {
      name: 'denial: a cached token without the scope',
      takes: (one) => introspectingPeer(one) && one.differs === undefined,
      order: () => ({ ...load, token: NARROW }),
    },
    bodies: {
      name: 'answers of 64 KiB',
      takes: peer,
      order: () => ({ ...load, token: TOKEN, path: '/bytes/65536' }),
    },
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

/** Shares of each one's own capacity at which latency is measured. */
const SHARES = [0.25, 0.5, 0.75];
/**
 * Requests a second that the load sends on time from the processor it shares with the upstream. Near 20,000 it is late by
 * itself, and every contender would be given its delays.
 */
const MOST_ON_TIME = 14_000;
/**
 * Share of a round's seconds that comes before it, at most a second; its latencies do not count. Meanwhile a contender that waited for its turn opens its connections, and
 * V8 compiles anew what it has dropped.
 */
const LEAD = 1 / 3;

/**
 * Latency at fixed rates, counted from when each request is due.
 *
 * @param capacities requests a second that each contender can answer with a cached token
 */
export function latencyOf(seconds: number, capacities: ReadonlyMap<string, number>): Situation[] {
  return SHARES.map((share) => ({
    name: `latency at ${share * 100} % of its capacity`,
    takes: ({ name, plugin }) => plugin !== true && capacities.has(name),
    order: (_round, { name }) => ({
      connections: CONNECTIONS,
      duration: seconds,
      token: TOKEN,
      lead: Math.min(1, LEAD * seconds),
      rate: Math.min(MOST_ON_TIME, share * (capacities.get(name) as number)),
    }),
  }));
}

/** A cached token over TLS. */
export function tlsOf(seconds: number): Situation[] {
  return (['https', 'h2'] as const).map((protocol) => ({
    name: protocol === 'h2' ? 'TLS with HTTP/2' : 'TLS with HTTP/1.1',
    takes: () => true,
    order: () => ({ connections: CONNECTIONS, duration: seconds, token: TOKEN, protocol }),
  }));
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

/**
 * Requests a second that each contender answered in one situation, the median of its rounds.
 *
 * @param situation its name
 */
export function capacitiesOf(results: Results, situation: string | undefined): Map<string, number> {
  const samples = situation === undefined ? undefined : results.get(situation);
  return new Map([...(samples ?? [])].map(([name, own]) => [name, median(own.map(({ rate }) => rate))]));
}
