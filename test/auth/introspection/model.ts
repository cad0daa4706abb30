import { decide } from '../../../src/auth/decide.js';
import { readAnswer } from '../../../src/auth/introspection/answer.js';
import { AnswerCache } from '../../../src/auth/introspection/cache.js';
import { CallFailed } from '../../../src/auth/introspection/errors.js';
import { createIntrospector } from '../../../src/auth/introspection/introspector.js';
import { oauth2Introspection } from '../../../src/auth/strategies/oauth2-introspection.js';
import type { Endpoint } from '../../../src/model/authorization-server.js';
import { fakeClock } from '../../clock.js';
import { arrival, ruleOf, tableOf } from '../../decision.js';
import { Random } from '../../fuzz/random.js';
import { noRemote } from '../../remote.js';
import { type SpecifiedAnswer, type SpecifiedRule, type Verdict, verdict } from '../../specification.js';

const START = 1_790_000_000;
const TTL = 60_000;
const NEGATIVE_TTL = 5_000;
const SCOPES = ['read', 'readwrite', 'read-all', 'a', 'a.b', 'a.b.c', 'a.*', '*', 'a.*.c'];
const ISSUERS = ['https://one', 'https://two'];
const RULES = 8;
const TOKENS = 12;

/** What a run of the model came to. */
export interface ModelRun {
  readonly decisions: number;
  /** How often each verdict was the right one. */
  readonly verdicts: ReadonlyMap<Verdict, number>;
  /** How often the answer came from the cache. */
  readonly hits: number;
  /** How often an answer was asked for again before its end. */
  readonly refreshes: number;
  /** What happened between decisions, how often. */
  readonly events: ReadonlyMap<string, number>;
}

/** An answer as the model remembers it, until a time of the monotonic clock. */
interface Remembered {
  readonly answer: SpecifiedAnswer;
  readonly until: number;
  /** Whether it may be asked for again before that. */
  refreshable: boolean;
  used: boolean;
}

/**
 * Lets a random course of events happen to the gateway's decision and to the specification of it, and compares each
 * decision and whether the authorization server was asked for it. Tokens are granted anew and revoked, the server
 * fails in all its ways, time passes, the wall clock jumps either way, answers are forgotten one by one or all.
 *
 * The model of the cache is three sentences: an answer that says active is used for 60 seconds or until its `exp` was
 * due when it came, one that says inactive for 5 seconds, any other not at all; what is forgotten is not used; an
 * outage is not remembered.
 *
 * Refreshing adds two: a hit in the last part of the life of an active answer that had a hit before asks once, unless the
 * life is the token's; what it brings is remembered in place of the other, unless something was forgotten meanwhile.
 *
 * @param refreshBefore that last part, in milliseconds
 * @throws Error at the first difference, with the seed and the course's number
 */
export async function runModel(seed: number, decisions: number, refreshBefore = 0): Promise<ModelRun> {
  const random = new Random(seed);
  const clock = fakeClock(START);
  const granted = Array.from({ length: TOKENS }, () => grant(random, clock.wall()));
  const specified = Array.from({ length: RULES }, () => requirement(random));
  let outage: (() => never) | undefined;
  let asked = 0;
  /** Keeps what is asked from being answered. */
  let held: Promise<void> | undefined;
  const cache = new AnswerCache(
    { ttl: TTL, negativeTtl: NEGATIVE_TTL, maxEntries: 100, negativeMaxEntries: 100, refreshBefore },
    clock,
  );
  const introspector = createIntrospector({
    client: {
      call: async (_endpoint, token) => {
        asked++;
        await held;
        outage?.();
        return readAnswer(JSON.stringify(granted[Number(token.slice(1))]));
      },
    },
    cache,
    limits: { timeout: 1_000, concurrency: 10, queue: 10, breaker: { failures: 0, openFor: 1 } },
    clock,
  });
  const services = { introspect: introspector.introspect, ...noRemote, now: clock.wall };
  const table = tableOf(specified.map((config, i) => ruleOf(`/r${i}`, [compiled(config)])));
  const requests = specified.map((_rule, r) =>
    granted.map((_token, i) => arrival(`/r${r}`, { authorization: `Bearer t${i}` })),
  );

  const remembered = new Map<number, Remembered>();
  const verdicts = new Map<Verdict, number>();
  const events = new Map<string, number>();
  let hits = 0;
  let refreshes = 0;
  const happens = (event: string): void => void events.set(event, (events.get(event) ?? 0) + 1);

  function remember(token: number): void {
    remembered.delete(token);
    const answer = granted[token] as SpecifiedAnswer;
    const life = lifeOf(answer, clock.wall());
    if (life <= 0) return;
    const refreshable = refreshBefore > 0 && answer.active === true && !endsWith(answer);
    remembered.set(token, { answer, until: clock.monotonic() + life, refreshable, used: false });
  }
  /** Whether the token's own end is that of the cache's entry. */
  const endsWith = ({ exp }: SpecifiedAnswer) =>
    typeof exp === 'number' && (exp - clock.wall()) * 1000 <= TTL;

  for (let i = 0; i < decisions; i++) {
    if (random.chance(0.2)) {
      const token = random.below(TOKENS);
      switch (random.below(10)) {
        case 0:
          happens('revoked');
          granted[token] = { active: false };
          break;
        case 1:
        case 2:
          happens('granted');
          granted[token] = grant(random, clock.wall());
          break;
        case 3:
          happens('outage');
          outage = random.pick(OUTAGES);
          break;
        case 4:
        case 5:
          happens('recovery');
          outage = undefined;
          break;
        case 6:
          happens('time passes');
          clock.advance(random.pick(refreshBefore === 0 ? PASSES : FINE_PASSES));
          break;
        case 7:
          happens('clock jumps');
          clock.step(random.below(201) - 100);
          break;
        case 8:
          happens('one is forgotten');
          introspector.forget({ token: `t${token}` });
          remembered.delete(token);
          break;
        default:
          if (random.chance(0.8)) break;
          happens('all are forgotten');
          introspector.forget('all');
          remembered.clear();
      }
    }
    const token = random.below(TOKENS);
    const rule = random.below(RULES);
    const { target, fields } = (requests[rule] as ReturnType<typeof arrival>[])[token] as ReturnType<
      typeof arrival
    >;
    const before = asked;
    let release = (): void => {};
    if (refreshBefore > 0 && random.chance(0.4)) {
      const known = remembered.get(token);
      if (known !== undefined && clock.monotonic() < known.until) {
        held = new Promise((resolve) => {
          release = resolve;
        });
      }
    }
    const decision = await decide({ table, method: 'GET', target, fields, services });

    const known = remembered.get(token);
    const isHit = known !== undefined && clock.monotonic() < known.until;
    let expected: Verdict;
    let calls = isHit ? 0 : 1;
    if (isHit) {
      hits++;
      expected = verdict(specified[rule] as SpecifiedRule, known.answer, clock.wall());
      if (known.used && known.refreshable && clock.monotonic() >= known.until - refreshBefore) {
        refreshes++;
        calls = 1;
        known.refreshable = false;
        let keeps = outage === undefined && isReadable(granted[token] as SpecifiedAnswer);
        if (held !== undefined && random.chance(0.7)) {
          happens('forgotten during a refresh');
          const one = random.chance(0.5) ? token : random.below(TOKENS);
          introspector.forget({ token: `t${one}` });
          remembered.delete(one);
          if (one === token) keeps = false;
        }
        if (keeps) remember(token);
      }
      known.used = true;
    } else if (outage !== undefined) {
      expected = 'authorization_server_unavailable';
    } else {
      const answer = granted[token] as SpecifiedAnswer;
      expected = verdict(specified[rule] as SpecifiedRule, answer, clock.wall());
      remember(token);
    }
    held = undefined;
    release();
    // A refresh comes home by itself.
    if (refreshBefore > 0 && isHit) await new Promise((resolve) => setImmediate(resolve));
    const actual = decision.allowed ? 'allow' : decision.denial.error;
    if (actual !== expected || asked - before !== calls) {
      throw new Error(
        `seed ${seed}, decision ${i}: ${actual} with ${asked - before} calls, where ${expected} with ${calls} is right`,
      );
    }
    verdicts.set(expected, (verdicts.get(expected) ?? 0) + 1);
  }
  return { decisions, verdicts, hits, refreshes, events };
}

const PASSES = [1, 1_000, 4_999, 5_000, 20_000, 59_999, 60_000];
/** Refreshing needs entries that grow old in use. */
const FINE_PASSES = [1, 1_000, 4_999, 5_000, 9_999, 10_000, 20_000];

/** Whether it says something that can be understood (RFC 7662 §2.2). */
function isReadable({ active, exp }: SpecifiedAnswer): boolean {
  return active === false || (active === true && (exp === undefined || typeof exp === 'number'));
}

/** How long an answer is used, in milliseconds; 0 for not at all. */
function lifeOf(answer: SpecifiedAnswer, now: number): number {
  if (answer.active === false) return NEGATIVE_TTL;
  if (answer.active !== true) return 0;
  const { exp } = answer;
  if (exp === undefined) return TTL;
  return typeof exp === 'number' ? Math.min(TTL, (exp - now) * 1000) : 0;
}

const OUTAGES: readonly (() => never)[] = [
  () => {
    throw new CallFailed('connection refused');
  },
  () => {
    throw new CallFailed('429', { retryAfter: 5_000, alive: true });
  },
  () => {
    throw new TypeError('something else');
  },
];

function grant(random: Random, now: number): SpecifiedAnswer {
  const scopes = SCOPES.filter(() => random.chance(0.4));
  const members = {
    active: random.chance(0.92) ? true : random.pick([false, 'true', 1, null]),
    scope: random.chance(0.5) ? scopes : scopes.join(' '),
    aud: random.pick(['api', 'other', ['api', 'other'], [], undefined]),
    iss: random.pick([...ISSUERS, undefined]),
    exp: random.chance(0.6)
      ? Math.floor(now) + random.below(600) - 10
      : random.pick([undefined, undefined, 'soon']),
    nbf: random.chance(0.1) ? Math.floor(now) + random.below(20) - 10 : undefined,
    token_use: random.chance(0.05) ? 'refresh_token' : 'access_token',
    token_type: random.pick(['Bearer', 'bearer', 'access_token', undefined]),
  };
  return JSON.parse(JSON.stringify(members)) as SpecifiedAnswer;
}

function requirement(random: Random): SpecifiedRule {
  return {
    required_scope: SCOPES.filter(() => random.chance(0.1)),
    scope_strategy: random.pick(['exact', 'hierarchic', 'wildcard']),
    target_audience: random.chance(0.3) ? ['api'] : [],
    trusted_issuers: ISSUERS.filter(() => random.chance(0.2)),
  };
}

const endpoint: Endpoint = { url: 'http://as.example/introspect', headers: {}, auth: { method: 'none' } };

function compiled(config: SpecifiedRule) {
  return oauth2Introspection.compile(config as unknown as Record<string, unknown>, {
    scopeStrategy: 'exact',
    endpoint,
    leeway: 0,
  });
}
