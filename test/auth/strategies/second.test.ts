import t from 'tap';
import { holdsSecond } from '../../../src/auth/strategies/second-credential.js';
import type { AccessStrategy } from '../../../src/model/strategy.js';
import type { TokenSource } from '../../../src/parse/token.js';
import { arrival } from '../../decision.js';

/** A strategy that reads tokens from these places; of the Authorization field where none are given. */
const reading = (...tokenSources: TokenSource[]): AccessStrategy => ({
  handler: 'x',
  requiredScopes: [],
  readsTokens: true,
  ...(tokenSources.length === 0 ? {} : { tokenSources }),
  authenticate: () => ({ kind: 'pass' }),
});
const blind: AccessStrategy = { handler: 'y', requiredScopes: [], authenticate: () => ({ kind: 'pass' }) };

/** Whether a request to a rule with these strategies holds a second credential beside the first strategy's. */
async function second(
  strategies: readonly AccessStrategy[],
  headers: Readonly<Record<string, string>>,
  form = '',
  query = '',
): Promise<boolean> {
  const type = { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': `${form.length}` };
  const { target, fields } = arrival(`/x${query}`, form === '' ? headers : { ...headers, ...type });
  const body = { readBody: async () => Buffer.from(form) };
  return holdsSecond(strategies, 0, { method: 'POST', target, fields, body });
}

t.test('a credential where only another strategy of the rule would read it is a second one', async (t) => {
  const [a, b, form] = [{ header: 'x-a' }, { header: 'x-b' }, { form_parameter: 'key' }];
  const both = { 'X-A': '1', 'X-B': '2' };
  for (const [strategies, headers, body, expected] of [
    [[reading(a), reading(b)], both, '', true],
    [[reading(a), reading(b)], { 'X-A': '1' }, '', false],
    [[reading(a), reading(a)], both, '', false],
    [[reading(a), reading({ header: 'X-A' })], both, '', false],
    [[reading(a), reading(a, b)], both, '', true],
    [[reading(a), blind], both, '', false],
    [[reading(a)], both, '', false],
    [[reading(a), reading()], { 'X-A': '1', Authorization: 'Bearer 2' }, '', true],
    [[reading(), reading(a)], { Authorization: 'Bearer 2' }, '', false],
    [[reading(a), reading(form)], { 'X-A': '1' }, 'key=2', true],
    [[reading(a), reading(form)], { 'X-A': '1' }, 'other=2', false],
    // Who reads a form for one parameter may read it for the standard one.
    [[reading(a), reading(form)], { 'X-A': '1' }, 'access_token=2', true],
    [[reading(a), reading(b, form)], { 'X-A': '1' }, 'access_token=2', true],
    [[reading(a), reading(b)], { 'X-A': '1' }, 'access_token=2', false],
  ] as const) {
    const what = `${JSON.stringify(strategies.map((each) => each.tokenSources))} ${JSON.stringify(headers)} ${body}`;
    t.equal(await second(strategies, headers, body), expected, what);
    t.equal(await second(strategies, headers, body), expected, `${what}, asked again`);
  }
});

t.test('places of one kind are told apart by their names', async (t) => {
  const query = [reading({ query_parameter: 'a' }), reading({ query_parameter: 'b' })];
  t.equal(await second(query, {}, '', '?a=1&b=2'), true);
  t.equal(await second(query, {}, '', '?a=1'), false);
  const forms = [reading({ form_parameter: 'a' }), reading({ form_parameter: 'b' })];
  t.equal(await second(forms, {}, 'a=1&b=2'), true);
  t.equal(await second(forms, {}, 'a=1'), false);
  const mixed = [reading({ query_parameter: 'a' }), reading({ form_parameter: 'a' })];
  t.equal(await second(mixed, {}, 'a=1', '?a=1'), true);
  const cookies = [reading({ cookie: 'a' }), reading({ cookie: 'b' })];
  t.equal(await second(cookies, { Cookie: 'a=1; b=2' }), true);
  t.equal(await second(cookies, { Cookie: 'a=1; c=2' }), false);
});
