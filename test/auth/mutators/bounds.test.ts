import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { remoteJson } from '../../../src/auth/authorizers/remote.js';
import { hydrator } from '../../../src/auth/mutators/hydrator.js';
import { idToken } from '../../../src/auth/mutators/id-token.js';
import type { Mutator, MutatorServices, Session } from '../../../src/model/mutator.js';

/** With answers of this size, the memory for them is full before there are fifty. */
const SIZE = 400_000;
const SUBJECTS = Array.from({ length: 50 }, (_, i) => `subject-${i}`);

function sessionOf(subject: string, extra: Session['extra'] = {}): Session {
  return {
    subject,
    extra,
    match: { method: 'GET', host: 'a.example', path: '/x', query: '', rawHeaders: [], pattern: /^\/x$/ },
    headers: new Map(),
    cookies: new Map(),
  };
}

/** A service that answers with {@link SIZE} characters, and counts. */
function service(body: (subject: string) => string, headers = {}) {
  const asked: string[] = [];
  const services: MutatorServices = {
    call({ body: sent }) {
      const { subject } = JSON.parse(String(sent)) as { subject: string };
      asked.push(subject);
      return { ok: true, status: 200, body: body(subject), headers };
    },
    now: () => 0,
  };
  return { asked, services };
}

async function askAll(mutator: Mutator | undefined, { asked, services }: ReturnType<typeof service>) {
  for (const subject of SUBJECTS) {
    const denial = await mutator?.mutate(sessionOf(subject), services);
    if (denial !== undefined) throw new Error(denial.reason);
  }
  t.same(asked, SUBJECTS);
  await mutator?.mutate(sessionOf(SUBJECTS.at(-1) as string), services);
  t.equal(asked.length, SUBJECTS.length, 'the last answer is kept');
  await mutator?.mutate(sessionOf(SUBJECTS[0] as string), services);
  t.equal(asked.length, SUBJECTS.length + 1, 'the first is not: there is no memory for all of them');
}

t.test('what hydrators say is kept as long as there is memory for it', async () => {
  const config = { api: { url: 'http://hydrator.example/' }, cache: { enabled: true, ttl: '1h' } };
  const body = (subject: string) => JSON.stringify({ subject, extra: { ['n'.repeat(SIZE)]: 1 } });
  await askAll(hydrator.compile(config), service(body));
});

t.test('what authorizers say is kept as long as there is memory for it', async () => {
  const config = {
    remote: 'http://authorizer.example/',
    payload: '{"subject": "{{ print .Subject }}"}',
    forward_response_headers_to_upstream: ['X-Large'],
    cache: { ttl: '1h', key: ['{{ print .Subject }}'] },
  };
  const mutator = remoteJson.compile(config) as Mutator;
  await askAll(
    mutator,
    service(() => '{}', { 'x-large': 'x'.repeat(SIZE) }),
  );
});

t.test('signed tokens are kept as long as there is memory for them', async (t) => {
  const file = join(t.testdir(), 'keys.json');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(file, JSON.stringify({ keys: [privateKey.export({ format: 'jwk' })] }));
  const config = {
    issuer_url: 'https://gate.example',
    jwks_url: pathToFileURL(file).href,
    claims: '{"large": "{{ print .Extra.large }}"}',
  };
  const mutator = idToken.compile(config);
  const { services } = service(() => '');
  const token = async (subject: string) => {
    const session = sessionOf(subject, { large: 'x'.repeat(SIZE) });
    await mutator?.mutate(session, services);
    return session.headers.get('authorization')?.[1];
  };
  const first = await token('subject-0');
  t.equal(await token('subject-0'), first, 'a token is used again');
  for (const subject of SUBJECTS) await token(subject);
  t.not(await token('subject-0'), first, 'there is no memory for all of them');
});
