import { deepEqual } from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { differences, fields, lifespans } from '../../../src/commands/clients/fields.js';
import { Clients } from '../../stack/hydra/client.js';

const word = fc.stringMatching(/^[a-z]{1,8}$/);
const uri = word.map((host) => `https://${host}.example`);
const list = (item: fc.Arbitrary<string>) => fc.uniqueArray(item, { maxLength: 3 });
const lifespan = fc
  .tuple(fc.integer({ min: 1, max: 999 }), fc.constantFrom('ms', 's', 'm', 'h'))
  .map(([n, unit]) => `${n}${unit}`);

/** Clients as manifests make them: each field but the grant types may be left out. */
const wanted = fc
  .record(
    {
      client_name: word,
      grant_types: fc.uniqueArray(
        fc.constantFrom('client_credentials', 'authorization_code', 'implicit', 'refresh_token'),
        { minLength: 1 },
      ),
      response_types: list(fc.constantFrom('code', 'token', 'id_token')),
      redirect_uris: list(uri),
      request_uris: list(uri),
      post_logout_redirect_uris: list(uri),
      allowed_cors_origins: list(uri),
      audience: list(uri),
      skip_consent: fc.boolean(),
      token_endpoint_auth_method: fc.constantFrom('client_secret_basic', 'client_secret_post', 'none'),
      metadata: fc.dictionary(word, fc.oneof(word, fc.integer(), fc.boolean()), { noNullPrototype: true }),
      jwks_uri: uri,
      contacts: list(word),
      // Hydra refuses `pairwise` unless its configuration allows it.
      subject_type: fc.constant('public'),
      access_token_strategy: fc.constantFrom('jwt', 'opaque'),
      scope: list(word).map((words) => words.join(' ')),
      ...Object.fromEntries(lifespans.map((name) => [name, lifespan])),
    },
    { requiredKeys: ['grant_types'] },
  )
  .map((client) => ({ ...client, owner: 'a/b' }) as Record<string, unknown>);

t.test('what Hydra makes of a client is no difference to it', async (_t) => {
  fc.assert(
    fc.property(wanted, (client) => {
      const registry = new Clients();
      const created = registry.create(client);
      deepEqual(differences(client, created), []);
      deepEqual(differences(client, registry.replace(created.client_id, client)), []);
    }),
    { numRuns: 200 },
  );
});

t.test('every change of one field is a difference in that field alone', async (_t) => {
  fc.assert(
    fc.property(wanted, fc.constantFrom(...fields.map(({ hydra }) => hydra), 'scope'), (client, field) => {
      const registry = new Clients();
      const { client_id: id } = registry.create(client);
      const changed = {
        ...registry.read(id),
        [field]: field.endsWith('_lifespan') ? '7h13m' : ['something else'],
      };
      deepEqual(differences(client, changed), [field]);
    }),
    { numRuns: 200 },
  );
});

t.test('a value of a type that Hydra does not have there is a difference', async (t) => {
  const compared = fields.map(({ hydra }) => hydra).filter((field) => field !== 'client_secret_expires_at');
  for (const field of [...compared, 'scope'])
    for (const value of [['something else'], [{}], { toString: 1 }, true, 7])
      t.strictSame(differences({}, { [field]: value }), [field], `${field} ${JSON.stringify(value)}`);
});

t.test('order and repetition mean nothing in sets, everything elsewhere', async (t) => {
  t.strictSame(
    differences({ audience: ['a', 'b'], scope: 'x y' }, { audience: ['b', 'a', 'b'], scope: ' y x' }),
    [],
  );
  t.strictSame(differences({ metadata: { list: [1, 2] } }, { metadata: { list: [2, 1] } }), ['metadata']);
});

t.test("Go's durations are compared by their length", async (t) => {
  const name = lifespans[0] as string;
  for (const [a, b] of [
    ['1h', '1h0m0s'],
    ['90m', '1h30m0s'],
    ['1500ms', '1.5s'],
    ['1us', '1µs'],
    ['0s', undefined],
  ]) {
    t.strictSame(differences({ [name]: a }, { [name]: b }), [], `${a} is ${b}`);
  }
  t.strictSame(differences({ [name]: '1h' }, { [name]: '1h0m1s' }), [name]);
  t.strictSame(differences({ [name]: '1h' }, { [name]: 'nonsense' }), [name]);
});
