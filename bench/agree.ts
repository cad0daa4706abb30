import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import type { Contender } from './contender.js';
import type { Running, Stage } from './stage.js';
import { INACTIVE, NARROW, TOKEN } from './token.js';

/** What each kind of request gets from a gateway that does the work, by RFC 6750 section 3.1. */
const EXPECTED = { good: 200, none: 401, inactive: 401, narrow: 403 } as const;

/** A kind of request: a good token, none, one that is not active, one without the required scope. */
export type Kind = keyof typeof EXPECTED;

const TOKENS: Readonly<Record<Kind, string | undefined>> = {
  good: TOKEN,
  none: undefined,
  inactive: INACTIVE,
  narrow: NARROW,
};

const WORDS: Readonly<Record<Kind, string>> = {
  good: 'a good token',
  none: 'no token',
  inactive: 'a token that is not active',
  narrow: 'a token without the scope',
};

/**
 * What a contender has to answer before it is measured: what does not introspect lets everything through, and what differs
 * on purpose says so.
 */
export function expectedOf({ introspects, differs }: Contender): Partial<Record<Kind, number>> {
  if (!introspects) return { good: 200 };
  const { narrow = EXPECTED.narrow, inactive = EXPECTED.inactive } = differs ?? {};
  return { ...EXPECTED, narrow, inactive };
}

/**
 * Compares answers with what they have to be.
 *
 * @returns a sentence for each that differs, or undefined
 */
export function disagreement(
  expected: Partial<Record<Kind, number>>,
  answers: Partial<Record<Kind, number | string>>,
): string | undefined {
  const wrong = (Object.keys(expected) as Kind[])
    .filter((kind) => answers[kind] !== expected[kind])
    .map((kind) => `answers ${answers[kind] ?? 'nothing'} to ${WORDS[kind]}, not ${expected[kind]}`);
  return wrong.length === 0 ? undefined : wrong.join('; ');
}

/**
 * Tries every contender of a stage: whoever does not do the same work is not measured.
 *
 * @returns those that do, and name → reason of the others
 */
export async function agreeing(
  stage: Stage,
  tls: boolean,
): Promise<{ readonly running: Running[]; readonly left: Map<string, string> }> {
  const running: Running[] = [];
  const left = new Map(stage.failed);
  for (const one of stage.running) {
    const expected = expectedOf(one.contender);
    const answers: Partial<Record<Kind, number | string>> = {};
    for (const kind of Object.keys(expected) as Kind[]) {
      answers[kind] = await ask(one.port, TOKENS[kind], tls);
    }
    const wrong = disagreement(expected, answers);
    if (wrong === undefined) running.push(one);
    else left.set(one.contender.name, wrong);
  }
  return { running, left };
}

/** The status of one request, or why there is none. */
export function ask(port: number, token: string | undefined, tls: boolean): Promise<number | string> {
  const headers = {
    host: 'gate.example',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  const target = { host: '127.0.0.1', port, path: '/get', headers, timeout: 10_000, agent: false } as const;
  return new Promise((resolve) => {
    // The certificate is the bench's own, made a moment ago.
    const request = tls ? secure({ ...target, rejectUnauthorized: false }) : plain(target);
    request
      .on('response', (message) => {
        message.resume();
        message.on('close', () => resolve(message.statusCode as number));
      })
      .on('timeout', () => request.destroy(new Error('nothing for ten seconds')))
      .on('error', (error) => resolve(error.message))
      .end();
  });
}
