import t from 'tap';
import { readClaims } from '../../../src/auth/introspection/answer.js';
import { type Requirements, unmetRequirement } from '../../../src/auth/introspection/requirements.js';
import type { ActiveAnswer } from '../../../src/model/introspection.js';

const NOW = 1_790_000_000;
const plain: Requirements = { issuers: [], audience: [], leeway: 0, uses: ['access_token'] };

function unmet(claims: object, requirements: Partial<Requirements> = {}, now = NOW): string | undefined {
  const answer = readClaims({ active: true, ...claims }) as ActiveAnswer;
  return unmetRequirement(answer, { ...plain, ...requirements }, now);
}

t.test(
  'only access tokens of a known type are taken, and of the type DPoP those that are bound',
  async (t) => {
    const bound = { cnf: { jkt: 'x' } };
    for (const [claims, taken] of [
      [{}, true],
      [{ token_use: 'access_token' }, true],
      [{ token_use: 'refresh_token' }, false],
      [{ token_use: ['access_token'] }, false],
      [{ token_use: 1 }, false],
      [{ token_type: 'Bearer' }, true],
      [{ token_type: 'BEARER' }, true],
      [{ token_type: 'access_token' }, true],
      [{ token_type: 'Access_Token' }, false],
      [{ token_type: 'refresh_token' }, false],
      [{ token_type: 'mac' }, false],
      [{ token_type: 'mac', ...bound }, false],
      [{ token_type: 1 }, false],
      [{ token_type: 1, ...bound }, false],
      [{ token_type: ['bearer'] }, false],
      [{ token_type: 'DPoP' }, false],
      [{ token_type: 'DPoP', ...bound }, true],
      [{ token_type: 'dpop', ...bound }, true],
      [{ token_type: 'dpop2', ...bound }, false],
      [bound, true],
    ] as const) {
      t.equal(unmet(claims) === undefined, taken, JSON.stringify(claims));
    }
    t.equal(unmet({ token_use: 'id_token' }, { uses: ['id_token'] }), undefined);
    t.equal(unmet({ token_use: 'access_token' }, { uses: ['id_token'] }), 'the token is not an access token');
  },
);

t.test('a token lives from "nbf" to just before "exp", both moved by the leeway', async (t) => {
  for (const [leeway, from, to] of [
    [0, 0, 60],
    [5, -5, 65],
  ] as const) {
    const claims = { nbf: NOW, exp: NOW + 60 };
    for (const [at, problem] of [
      [from - 0.001, 'the token is not valid yet'],
      [from, undefined],
      [to - 0.001, undefined],
      [to, 'the token has expired'],
    ] as const)
      t.equal(unmet(claims, { leeway }, NOW + at), problem, `leeway ${leeway}, at ${at}`);
  }
});

t.test('one of the issuers, and every audience', async (t) => {
  const issuers = ['https://a', 'https://b'];
  t.equal(unmet({ iss: 'https://b' }, { issuers }), undefined);
  const untrusted = 'the token is from an issuer that is not trusted';
  for (const claims of [{}, { iss: '' }, { iss: 'https://c' }])
    t.equal(unmet(claims, { issuers }), untrusted);
  t.equal(unmet({ iss: 'https://c' }), undefined, 'any, where none is demanded');
  const audience = ['x', 'y'];
  t.equal(unmet({ aud: ['x', 'y', 'z'] }, { audience }), undefined);
  const unmeant = 'the token is not meant for this audience';
  for (const claims of [{}, { aud: 'x' }, { aud: ['y'] }, { aud: 'x y' }])
    t.equal(unmet(claims, { audience }), unmeant);
});
